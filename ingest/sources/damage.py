"""What Arrow says of input that it can't read, as our own error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from analytics.errors import InvalidInput


@contextmanager
def damage_told(what: str) -> Iterator[None]:
    """Turns Arrow's errors within the block into InvalidInput. A stream's own errors pass.

    Raises:
        InvalidInput: Arrow can't read on.
    """
    try:
        yield
    except pa.ArrowException as error:
        raise InvalidInput(_told(what, error)) from error
    except (OSError, UnicodeDecodeError) as error:
        if getattr(error, "errno", None) is not None:  # of the stream below, not of Arrow
            raise
        raise InvalidInput(_told(what, error)) from error


def _told(what: str, error: Exception) -> str:
    first = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
    return f"{what} can't be read: {first}; make the file anew"

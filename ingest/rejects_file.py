"""Rejected rows in a file that can be mended and loaded.

NDJSON: each line is the row by the columns of an event, as far as it could be told apart, with one
field more, `rejected_because`, that says why and where it stood. A load leaves that field out, so
it may stay when the rest is mended.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import orjson

from analytics.errors import InvalidInput
from ingest.rejects import REJECT_FIELD, Reject


class RejectsFile:
    """Takes rejects; the file is there from the first of them on.

    Attributes:
        path: Where it is.
        count: How many rejects are in it.
    """

    def __init__(self, path: Path) -> None:
        """Takes the path of a file that isn't there yet.

        Raises:
            InvalidInput: It is there; somebody may have mended it.
        """
        if path.exists():
            raise InvalidInput(f"{path} is there already; name another file for the rejects")
        self.path = path
        self.count = 0
        self._file: BinaryIO | None = None

    def write(self, source: str, rejects: Sequence[Reject]) -> None:
        """Adds rejects of a source, given by its name.

        Raises:
            InvalidInput: The file can't be written.
        """
        lines = b"".join(_line(source, reject) for reject in rejects)
        try:
            if self._file is None:
                self._file = self.path.open("xb")
            self._file.write(lines)
            self._file.flush()
        except OSError as error:
            raise InvalidInput(f"{self.path} can't be written: {error.strerror}") from error
        self.count += len(rejects)

    def close(self) -> None:
        """Closes the file, if there is one."""
        if self._file is not None:
            self._file.close()


def free_path(folder: Path, source: str) -> Path:
    """A path for the rejects of a source that isn't taken: NAME.rejects.ndjson, or with a number.

    Rejects of a rejects file keep its name.
    """
    stem = source.partition(".rejects")[0] or "events"
    names = (f"{stem}.rejects{'' if n == 1 else f'-{n}'}.ndjson" for n in range(1, 100_000))
    return next(folder / name for name in names if not (folder / name).exists())


def _line(source: str, reject: Reject) -> bytes:
    why = {"file": source, **reject.as_json()}
    del why["event_id"]
    written = orjson.dumps({REJECT_FIELD: why})
    row = (reject.record or "{}").encode()
    if row != b"{}":
        written = row[:-1] + b"," + written[1:]
    return written + b"\n"

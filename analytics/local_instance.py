"""The Tidemark that runs on this machine, as a library finds it: through its data directory.

Whoever starts the local servers notes down where they listen (app.local.instance). Of that file
only one entry is known here: the URL of the role that only reads.
"""

from __future__ import annotations

import json
from pathlib import Path

from analytics.errors import Unreachable

_NOTED = "running.json"
_READER = "reader"


def reader_url(home: Path) -> str:
    """The URL by which the running instance's Postgres is read.

    Raises:
        Unreachable: none runs in this data directory, or its notes can't be read.
    """
    noted = home / _NOTED
    try:
        url = json.loads(noted.read_text("utf-8"))[_READER]
    except FileNotFoundError as error:
        raise Unreachable(
            f"no Tidemark runs in {home}; start one by `tidemark up`, name its data directory "
            "(home=...), or give the URL of a Postgres"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unreachable(
            f"{noted} can't be read ({type(error).__name__}: {error}); start this version of "
            "Tidemark there again, or give the URL of a Postgres"
        ) from error
    return str(url)

"""Asks the server of this container whether it is ready; the exit code says so.

What a container's health check runs every few seconds: so it imports nothing large.
"""

from __future__ import annotations

import os
import sys
from http.client import HTTPConnection, HTTPException
from typing import Final

PATIENCE_SECONDS: Final = 4.0


def main() -> int:
    """0 if /readyz of API_PORT answers 200, else 1 and what it answered."""
    connection = HTTPConnection(
        "127.0.0.1", int(os.environ.get("API_PORT", "8000")), timeout=PATIENCE_SECONDS
    )
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
    except (OSError, HTTPException) as error:
        text, ready = f"{type(error).__name__}: {error}", False
    else:
        ready = answer.status == 200
    finally:
        connection.close()
    sys.stdout.write(f"{text}\n")
    return 0 if ready else 1


if __name__ == "__main__":
    sys.exit(main())

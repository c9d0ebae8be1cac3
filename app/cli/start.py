"""The program `tidemark`: it loads all commands, then runs the one that is meant."""

from __future__ import annotations

import gc


def run() -> None:
    """The entry point: runs the command and exits."""
    # Some 1,600 modules are loaded and stay to the end. Looking through them for garbage, again and
    # again while they come and in a server's every full collection later, takes time for nothing.
    gc.disable()
    from app.cli import main  # noqa: PLC0415 - not before

    gc.freeze()
    gc.enable()
    main.run()

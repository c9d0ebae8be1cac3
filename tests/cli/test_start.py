"""The program itself, before any command."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import atexit, gc, sys
atexit.register(lambda: print(gc.isenabled(), gc.get_freeze_count() > 10_000))
sys.argv = ["tidemark", "--help"]
from app.cli.start import run
run()
"""


def test_garbage_is_collected_again_once_all_is_loaded_and_what_was_loaded_is_left_alone() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True)
    assert done.stdout.splitlines()[-1] == b"True True"

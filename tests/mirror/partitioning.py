"""The runbook of docs/growth.md, run as its page says."""

from __future__ import annotations

import subprocess
from pathlib import Path

from app.local.binaries import postgres_binary

RUNBOOK = Path(__file__).parents[2] / "ops" / "partition"


def psql(owner: str, *names: str) -> None:
    """Run files of the runbook."""
    files = [word for name in names for word in ("-f", str(RUNBOOK / name))]
    command = [postgres_binary("psql"), "-X", "-q", "-o", "/dev/null", owner, *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

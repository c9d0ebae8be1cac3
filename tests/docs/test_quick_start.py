"""The README's quick start over HTTP, pasted into a shell as it stands, against `tidemark up`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TIDEMARK = Path(sys.executable).parent / "tidemark"
HERE = "http://127.0.0.1:8000"


def commands() -> str:
    section = (ROOT / "README.md").read_text().partition("### Register, log in, send, ask\n")[2]
    found = re.search(r"```bash\n(.*?)```", section, re.DOTALL)
    assert found
    return found[1]


def said() -> list[str]:
    """What the README says that the last two commands print."""
    section = (ROOT / "README.md").read_text().partition("### Register, log in, send, ask\n")[2]
    found = re.search(r"```json\n(.*?)```", section, re.DOTALL)
    assert found
    return found[1].splitlines()


def test_the_commands_of_the_readme_do_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("DATABASE_", "REDIS_", "SECRET_", "MIRROR_", "API_")):
            monkeypatch.delenv(name)
    # Not pytest's own folder: it is closed to the user that the servers run as under root.
    with tempfile.TemporaryDirectory(prefix="tidemark-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with subprocess.Popen(
            [TIDEMARK, "up", "--port", "0"], cwd=folder, stdout=subprocess.PIPE, text=True
        ) as server:
            try:
                assert server.stdout is not None
                lines = iter(server.stdout.readline, "")
                line = next(line for line in lines if line.startswith("API"))
                found = re.search(r"http://127\.0\.0\.1:\d+", line)
                assert found, line
                script = commands().replace(HERE, found[0])
                finished = subprocess.run(
                    ["bash", "-euo", "pipefail", "-c", script],
                    cwd=folder,
                    check=False,
                    capture_output=True,
                    text=True,
                    timeout=60,
                )
            finally:
                server.terminate()
                server.wait(30)
    assert finished.returncode == 0, finished.stderr
    printed = re.findall(r"\{\"inserted.*?\}|\[\{\"day.*?\]", finished.stdout)
    assert [json.loads(each) for each in printed] == [json.loads(each) for each in said()]

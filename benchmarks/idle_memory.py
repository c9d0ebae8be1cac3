"""What the whole local stack takes in memory while nobody asks: the API, Postgres and Valkey.

Question: how much memory does a machine lose to a Tidemark that runs, and does nothing?
Hypothesis: less than 350 MB.
Control: `tidemark up` in an empty folder loads its sample and stops; the second start is left alone
for half a minute, then PSS of each process of its tree is added up (/proc/PID/smaps_rollup, Linux).
PSS shares pages out among those who map them, so that nothing is counted twice.
Command: make idle-memory.
What would make it wrong: RSS in place of PSS, which counts what Postgres's processes share once for
each; a look while the first start still imports, for memory isn't given back at once.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

IDLE_SECONDS = 30
_COMMAND = [str(Path(sys.executable).parent / "tidemark"), "up", "--port", "0"]


def measured(folder: Path) -> Counter[str]:
    """Bytes by part of a stack that has its sample loaded."""
    subprocess.run(  # noqa: S603 - our own command
        [*_COMMAND, "--once"], cwd=folder, check=True, capture_output=True, timeout=120
    )
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(_COMMAND, cwd=folder, stdout=log, stderr=log) as stack,  # noqa: S603
    ):
        try:
            time.sleep(IDLE_SECONDS)
            found: Counter[str] = Counter()
            for pid in _tree(stack.pid):
                found[_part(pid)] += _pss(pid)
            return found
        finally:
            stack.send_signal(signal.SIGINT)


def _tree(pid: int) -> Iterator[int]:
    """A process and all below it."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from _tree(int(child))


def _part(pid: int) -> str:
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    return next((name for name in ("postgres", "valkey") if name.encode() in command), "api")


def _pss(pid: int) -> int:
    found = re.search(
        r"^Pss: +(\d+) kB$", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE
    )
    assert found is not None
    return int(found[1]) * 1024


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory(prefix="tidemark-idle-") as folder:
        Path(folder).chmod(0o755)  # the servers' unprivileged user enters it
        found = measured(Path(folder))
    rows = [*found.most_common(), ("together", found.total())]
    sys.stdout.writelines(f"{size / 1e6:6.0f} MB  {name}\n" for name, size in rows)


if __name__ == "__main__":
    main()

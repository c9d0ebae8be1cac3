"""`python -m benchmarks.soak`: everything at once for SOAK_MINUTES (30); fails if one grows."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from benchmarks import machine
from benchmarks.serving import TIDEMARK, Serving, serving
from benchmarks.soak.page import PUBLISHED, publish
from benchmarks.soak.samples import MEASURES, Sampler, growing
from benchmarks.soak.work import Work

MINUTES: Final = 30.0
SAMPLES: Final = 360


def soak(minutes: float, mirrors: Path) -> dict[str, Any]:
    """One run, with its samples; failures end it early and are in it."""
    every = minutes * 60 / SAMPLES
    taken_at = datetime.now(UTC).isoformat(timespec="seconds")
    with serving() as server:
        work, sampler, samples = Work(server), Sampler(server, mirrors), []
        with work.going():
            end = time.monotonic() + minutes * 60
            while time.monotonic() < end and not work.failures:
                samples.append(sampler.sample())
                time.sleep(every)
        verified = _verified(server)
    return {
        "what": "soak",
        "taken_at": taken_at,
        "machine": machine.facts(),
        "minutes": minutes,
        "every": every,
        "counts": dict(work.counts),
        "failures": work.failures,
        "verified": verified,
        "samples": samples,
    }


def _verified(server: Serving) -> str:
    """The last line of `tidemark mirror verify`, which fails if anything differs."""
    done = subprocess.run(  # noqa: S603 - our own command
        [TIDEMARK, "mirror", "verify"],
        env=server.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip().splitlines()[-1]


def main() -> None:
    """Soak, publish, and say what doesn't level off."""
    minutes = float(os.environ.get("SOAK_MINUTES", MINUTES))
    kept = Path(os.environ.get("SOAK_RESULT", PUBLISHED))
    with tempfile.TemporaryDirectory(prefix="tidemark-bench-") as mirrors:
        os.environ |= {"MIRROR_DIRECTORY": mirrors, "LOG_LEVEL": "warning"}
        run = soak(minutes, Path(mirrors))
    kept.write_bytes(orjson.dumps(run, option=orjson.OPT_APPEND_NEWLINE))
    found = run["failures"] or [f"{MEASURES[name]} grows" for name in growing(run["samples"])]
    if kept == PUBLISHED and not run["failures"]:
        publish(run)
    if found:
        sys.exit("; ".join(found))


if __name__ == "__main__":
    main()

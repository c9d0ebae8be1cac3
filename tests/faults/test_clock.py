"""The clock of the server's machine jumps by days; libfaketime shows it another one.

Postgres's and Redis's own clocks stay right: what is compared with theirs must not go wrong either.
Needs libfaketime, as Debian's package of that name or as a Python package.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.faults.stack import Stack
from tests.faults.test_redis import asked_to, me
from tests.faults.traffic import Recovery, Traffic

Timed = Callable[..., Recovery]


def libfaketime() -> Path | None:
    spec = find_spec("libfaketime")
    folders = [Path(spec.origin).parent] if spec and spec.origin else []
    found = [path for folder in folders for path in folder.rglob("libfaketimeMT.so.1")]
    found += Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    return next(iter(found), None)


@pytest.mark.slow
@pytest.mark.skipif(libfaketime() is None, reason="needs libfaketime: apt install libfaketime")
def test_clock_jumps_by_days(stack: Stack, traffic: Traffic, timed: Timed, folder: Path) -> None:
    service, clock = stack.service, folder / "clock"
    clock.write_text("+0\n")
    service.environment |= {
        "LD_PRELOAD": str(libfaketime()),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        # Read anew at each look at the clock, the file takes longer than what is measured.
        "FAKETIME_CACHE_DURATION": "1",
        # A clock that is put right leaves alone how long the machine has been up.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    service.start()
    assert asked_to(stack, "register").status == 201
    with traffic.flowing():
        for jump, name in (("+2d", "two days ahead"), ("-2d", "four days back"), ("+0", "right")):
            signed_in = asked_to(stack, "login")
            assert me(stack, signed_in) == 200
            clock.write_text(f"{jump}\n")
            service.until(lambda: me(stack, signed_in) == 401)  # noqa: B023 - called here
            timed(f"The server's clock jumps: {name}")
            assert me(stack, asked_to(stack, "login")) == 200
            traffic.until_acknowledged(500)
    assert traffic.failures == []
    stack.require_exact(traffic)

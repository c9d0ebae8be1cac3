"""The server gets no memory from the machine, as under `ulimit -v`; then it gets some again.

What the kernel does where it has none to give, to kill a process, is in `test_server` and
`test_workers`.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.faults.bulk import Bulk
from tests.faults.stack import Stack
from tests.faults.test_disk import fill_table, rebuild, require_exact_beside
from tests.faults.traffic import Recovery, Traffic

Timed = Callable[..., Recovery]

REFUSED_SECONDS = 8.0


@pytest.mark.slow
def test_machine_has_no_memory_for_the_server(stack: Stack, traffic: Traffic, timed: Timed) -> None:
    """In the middle of syncs, a large body and a build; each ends well, or is refused and whole."""
    fill_table(stack, 50_000, users=50_000)
    service = stack.service
    service.start()
    with traffic.flowing():
        bulk = Bulk(traffic, 100_000)
        service.memory_of_at_most(0)
        bulk.start()
        end = time.monotonic() + REFUSED_SECONDS
        while time.monotonic() < end:
            rebuild(stack)
        assert service.process.poll() is None, service.said()
        service.memory_of_at_most(None)
        timed("The machine has no memory for the server, for 8 s")
        bulk.join()
        bulk.send_until_taken()
    refusals = [reply for reply in traffic.failures if reply.status not in {0, 503}]
    assert refusals == [], service.said()
    require_exact_beside(stack, traffic, 50_000)

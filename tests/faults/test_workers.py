"""Workers killed (-9), as the kernel does when memory is short: their parent replaces them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial

import pytest

from tests.faults.bulk import Bulk
from tests.faults.stack import Stack
from tests.faults.traffic import Recovery, Traffic

Timed = Callable[..., Recovery]
WORKERS = 2


@pytest.mark.slow
def test_workers_killed_for_want_of_memory(stack: Stack, traffic: Traffic, timed: Timed) -> None:
    """One, whose work the other takes over, then both; each time under a large body."""
    service = stack.service
    service.environment["WORKERS"] = str(WORKERS)
    service.start()
    with traffic.flowing():
        killed: list[int] = []
        for number, fault in ((1, "One worker of two"), (2, "Both workers")):
            bulk = Bulk(traffic, 30_000)
            bulk.start()
            time.sleep(0.3)
            killed += kill(service.workers()[:number])
            back = time.monotonic()
            timed(f"{fault} killed (-9)", back)
            service.until(partial(replaced, stack, tuple(killed)))
            bulk.join()
            bulk.send_until_taken()
        assert len(service.workers()) == WORKERS
        assert not set(killed) & set(service.workers())
    # Connections that broke off in the middle; nobody was ever told of an error of ours.
    assert {reply.status for reply in traffic.failures} <= {0, 503}
    stack.require_exact(traffic)


def kill(workers: Sequence[int]) -> Sequence[int]:
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    return workers


def replaced(stack: Stack, workers: Sequence[int]) -> bool:
    """Whether each of them has a successor that serves, as the log says."""
    found = [line["old"] for line in stack.service.lines("worker.replaced")]
    return sorted(found) == sorted(workers)

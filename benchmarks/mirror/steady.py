"""A mirror under a steady stream of events, asked all the time.

Question: with 50,000 events a second coming in, how far behind is the mirror, and how long does an
exact answer take?
Hypothesis: under 2 s behind at worst, and a median of under 40 ms: a sync takes in what half a
second brought, and a question looks up at most what two syncs leave between them.
Control: the events come from a process of its own, by the COPY that loads files, on the same cores;
it says whether it kept its rate. Questions of all kinds come five times a second. Afterwards every
answer is compared with SQL, once with a tail and once after a sync.
Command: make bench-mirror.
What would make it wrong: a loader that fell behind; events all of one user; a busy machine.
"""

from __future__ import annotations

import itertools
import time
from functools import partial
from typing import Any, Final

from analytics.engines.choose import Engines
from analytics.engines.protocol import Freshness
from analytics.mirror.keeper import Keeper
from benchmarks.machine import alone
from benchmarks.mirror.asking import TIMEOUT
from benchmarks.mirror.database import Database
from benchmarks.mirror.live import load_steadily
from benchmarks.mirror.questions import PROJECT, questions
from benchmarks.mirror.scale import Scale
from benchmarks.own_process import executor
from benchmarks.timing import milliseconds

_SEED: Final = 2
_EVERY_SECONDS: Final = 0.2


def measure_steady(database: Database, keeper: Keeper, scale: Scale) -> dict[str, Any]:
    """What the loader managed, milliseconds of exact answers by question, seconds behind."""
    asked = questions(PROJECT)
    times: dict[str, list[float]] = {name: [] for name in asked}
    lags: list[float] = []
    with (
        Engines.connect(database.urls.reader, timeout=TIMEOUT, keeper=keeper) as engines,
        executor() as loader,
        alone() as others,
    ):
        load = loader.submit(load_steadily, database.urls.writer, scale.rate, scale.seconds, _SEED)
        for name in itertools.cycle(asked):
            if load.done():
                break
            question = asked[name]
            took = milliseconds(partial(engines.answer, question, "mirror"))
            times[name].append(round(took, 4))
            lags.append(engines.answer(question, "mirror", Freshness.MIRROR).meta.lag_seconds)
            time.sleep(_EVERY_SECONDS)
        _compare(engines)
        keeper.sync()
        _compare(engines)
    return {
        "rate": scale.rate,
        "loader": load.result(),
        "exact": times,
        "lag_seconds": [round(lag, 3) for lag in lags],
        "others_busy": [others],
    }


def _compare(engines: Engines) -> None:
    for name, question in questions(PROJECT).items():
        expected = engines.answer(question, "postgres").rows
        assert engines.answer(question, "mirror").rows == expected, f"{name} is wrong"

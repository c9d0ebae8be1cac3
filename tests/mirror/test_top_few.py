"""The most frequent few of many types, where new and removed events change which ones these are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from analytics.questions.day_range import DayRange
from analytics.questions.top_events import TopEvents
from tests.mirror.comparison import Comparison
from tests.mirror.conftest import AT, SHOP, Write, delete, insert
from tests.mirror.hand_kept import HandKept


@pytest.mark.parametrize("zone", [SHOP.timezone, "Asia/Kolkata"])
def test_what_lies_above_the_tidemark_brings_another_type_to_the_top(
    mirror: HandKept, connect: Write, zone: str
) -> None:
    writer = connect()
    numbers = {kind: [insert(writer, kind=kind) for _ in range(3)] for kind in ("look", "buy")}
    insert(writer, kind="look")
    mirror.open_or_build()
    project = replace(SHOP, timezone=zone)
    question = TopEvents(project, DayRange(AT.date(), AT.date()), limit=1)
    comparison = Comparison(mirror)

    comparison.check(project, [question])
    insert(writer, kind="buy")
    insert(writer, kind="buy")
    comparison.check(project, [question])
    for number in numbers["buy"]:
        delete(writer, number)
    comparison.check(project, [question])
    for number in numbers["look"]:
        delete(writer, number)
    insert(writer, kind="leave")
    comparison.check(project, [question])
    mirror.sync()
    comparison.check(project, [question])
    comparison.close()

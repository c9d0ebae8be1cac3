"""Retention by another calendar knows from the dictionary who was there long before the first week.

Local days may lie a day beside those in UTC, and the roll-ups' zone a day beside the question's: so
users come and go in every hour around where the dictionary's word ends and the events' begins.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from analytics.engines.mirrored import RAW
from analytics.questions.retention import Retention
from tests.mirror.comparison import Comparison
from tests.mirror.conftest import SHOP, Write, delete, insert
from tests.mirror.hand_kept import HandKept

# As far apart as zones are.
EASTERN, WESTERN = "Pacific/Kiritimati", "Etc/GMT+12"
FIRST: Final = datetime(2025, 3, 10, tzinfo=UTC)
HOURS: Final = range(-6 * 24, 2 * 24, 5)


@pytest.mark.parametrize(("kept", "asked"), [(EASTERN, WESTERN), (WESTERN, EASTERN)])
def test_users_of_every_hour_around_the_first_week(
    mirror: HandKept, connect: Write, kept: str, asked: str
) -> None:
    writer = connect()
    writer.execute("update projects set timezone = %s where id = %s", [kept, SHOP.id])
    numbers = {}
    for hour in HOURS:
        numbers[hour] = insert(writer, user=f"of {hour}", at=FIRST + timedelta(hours=hour))
        insert(writer, user=f"of {hour}", at=FIRST + timedelta(days=9))
    mirror.open_or_build()
    question = Retention(
        replace(SHOP, timezone=asked), FIRST.date(), FIRST.date() + timedelta(days=20), 3
    )
    comparison = Comparison(mirror)

    comparison.check(question.project, [question])
    for hour in list(HOURS)[::2]:
        delete(writer, numbers[hour])
    insert(writer, user="late", at=FIRST - timedelta(days=40))
    comparison.check(question.project, [question])
    mirror.sync()
    comparison.check(question.project, [question])

    assert comparison.reasons == {RAW}
    comparison.close()

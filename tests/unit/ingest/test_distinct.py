"""Order and repeats within a batch."""

from __future__ import annotations

from uuid import UUID

import pyarrow as pa
import pytest

from ingest.distinct import distinct_by_id
from ingest.validate import EVENTS
from tests.unit.ingest.rows import check, csv_file, row

HIGH = 1 << 127


def users_by_id(events: pa.RecordBatch) -> list[tuple[int, str]]:
    ids = [UUID(bytes=value).int for value in events["event_id"].to_pylist()]
    return list(zip(ids, events["user_id"].to_pylist(), strict=True))


@pytest.mark.parametrize("tie", [0, HIGH])
def test_events_are_sorted_by_id_and_of_equal_ids_the_first_stays(tie: int) -> None:
    numbers = [(HIGH + 2, "a"), (3, "b"), (tie + 1, "c"), (3, "d"), (HIGH + 2, "e"), (3, "f")]
    (checked,) = check(csv_file([row(number, user_id=user) for number, user in numbers]))
    events, repeated = distinct_by_id(checked.events)
    expected = sorted([(3, "b"), (tie + 1, "c"), (HIGH + 2, "a")])
    assert (users_by_id(events), repeated, events.schema) == (expected, 3, EVENTS)


def test_only_the_rows_of_a_slice_count() -> None:
    (checked,) = check(csv_file([row(number) for number in (5, 4, 3, 2)]))
    events, repeated = distinct_by_id(checked.events.slice(1, 2))
    assert (users_by_id(events), repeated) == ([(3, "ann"), (4, "ann")], 0)

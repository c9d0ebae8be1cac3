"""Local times of a zone are the instants that Python's zoneinfo makes of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.calendar import zone
from ingest.rejects import Code
from ingest.timestamps import parse_timestamp, parse_timestamps, read_timestamps
from ingest.zones import to_utc

EXAMPLES = settings(max_examples=150)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZONES = st.sampled_from(
    ["Europe/Kyiv", "America/New_York", "Pacific/Apia", "Asia/Kolkata", "Africa/Monrovia", "UTC"]
).map(zone)
CHANGES = [datetime(2025, 3, 30, 2, 30), datetime(2025, 10, 26, 3, 30), datetime(2011, 12, 30, 5)]
locals_ = st.one_of(
    st.datetimes(datetime(1, 1, 4), datetime(9999, 12, 27)),
    st.datetimes(datetime(1900, 1, 1), datetime(2040, 1, 1)),
    st.builds(
        lambda at, minutes: at + timedelta(minutes=minutes),
        st.sampled_from(CHANGES),
        st.integers(-300, 300),
    ),
)


def micros(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


@EXAMPLES
@given(st.lists(locals_, max_size=6), ZONES)
def test_local_times_become_the_instants_that_python_reads(
    moments: list[datetime], of: ZoneInfo
) -> None:
    local = np.array([micros(moment.replace(tzinfo=UTC)) for moment in moments], np.int64)
    expected = [micros(moment.replace(tzinfo=of)) for moment in moments]
    assert to_utc(local, of).tolist() == expected
    texts = pa.array([moment.isoformat() for moment in moments], pa.string())
    instants, faults = parse_timestamps(texts, of)
    assert (instants.cast(pa.int64()).to_pylist(), faults) == (expected, {})


@EXAMPLES
@given(
    st.lists(
        st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.integers(-(10**12), 10**12)),
        max_size=6,
    ),
    st.sampled_from(["s", "ms", "us", "ns"]),
    st.integers(0, 3),
)
def test_typed_instants_are_cut_to_microseconds_or_out_of_range(
    values: list[int | None], unit: str, skipped: int
) -> None:
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    column = pa.array(values, pa.int64()).cast(pa.timestamp(unit, "UTC")).slice(skipped)
    instants, faults = read_timestamps(column)
    first, last = (
        parse_timestamp("0001-01-01T00:00Z"),
        parse_timestamp("9999-12-31T23:59:59.999999Z"),
    )
    assert isinstance(first, int)
    assert isinstance(last, int)
    for row, value in enumerate(values[skipped:]):
        expected = (value or 0) * 10**6 // per_second
        if first <= expected <= last:
            assert instants.cast(pa.int64())[row].as_py() == expected
            assert row not in faults
        else:
            assert faults[row] == Code.TIMESTAMP_OUT_OF_RANGE


@pytest.mark.parametrize(
    "text", ["2025-08-01T10:15:00Z", "2025-08-01T12:15:00+02:00", "2025-08-01T05:45-0430"]
)
def test_a_zone_that_is_named_counts_more_than_the_assumed_one(text: str) -> None:
    instants, faults = parse_timestamps(pa.array([text, "2025-08-01T10:15:00"]), zone("Asia/Tokyo"))
    at = datetime(2025, 8, 1, 10, 15, tzinfo=UTC)
    assert (instants.to_pylist(), faults) == ([at, at - timedelta(hours=9)], {})


@pytest.mark.parametrize(
    "text", ["", "x", "2025-08-01", "2025-02-30T10:15:00", "10:15", "2025-08-01T10"]
)
def test_what_is_no_time_is_none_in_any_zone(text: str) -> None:
    _, faults = parse_timestamps(pa.array(["2025-08-01T10:15", text]), zone("Asia/Tokyo"))
    assert faults == {1: Code.INVALID_TIMESTAMP}


def test_times_without_a_zone_are_none_where_none_is_assumed() -> None:
    column = pa.array([datetime(2025, 8, 1), None], pa.timestamp("ms"))
    assert read_timestamps(column)[1] == {0: Code.NAIVE_TIMESTAMP}
    assert read_timestamps(column, zone("Asia/Tokyo"))[0].to_pylist() == [
        datetime(2025, 7, 31, 15, tzinfo=UTC),
        EPOCH,
    ]

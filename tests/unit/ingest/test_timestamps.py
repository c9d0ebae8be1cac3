"""Instants: which texts are one, and which code tells what is wrong."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from ingest.rejects import Code
from ingest.timestamps import parse_timestamp, parse_timestamps

ODD = "2024-02-29t00:00:00z"  # Arrow refuses it, so the whole column takes the slow way


@pytest.mark.parametrize("neighbours", [[], [ODD]])
@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2025-08-01T10:15:00Z", datetime(2025, 8, 1, 10, 15, tzinfo=UTC)),
        ("2025-08-01 10:15:00Z", datetime(2025, 8, 1, 10, 15, tzinfo=UTC)),
        ("2025-08-01T10:15Z", datetime(2025, 8, 1, 10, 15, tzinfo=UTC)),
        ("2025-08-01t10:15:00z", datetime(2025, 8, 1, 10, 15, tzinfo=UTC)),
        ("2025-08-01T10:15:00+02:00", datetime(2025, 8, 1, 8, 15, tzinfo=UTC)),
        ("2025-08-01T10:15:00+0230", datetime(2025, 8, 1, 7, 45, tzinfo=UTC)),
        ("2025-08-01T10:15:00-03", datetime(2025, 8, 1, 13, 15, tzinfo=UTC)),
        ("2025-08-01T10:15:00-00:00", datetime(2025, 8, 1, 10, 15, tzinfo=UTC)),
        ("2025-08-01T10:15:00.5Z", datetime(2025, 8, 1, 10, 15, 0, 500_000, UTC)),
        ("2025-08-01T10:15:00.1234569Z", datetime(2025, 8, 1, 10, 15, 0, 123_456, UTC)),
        ("1969-12-31T23:59:59.9999999Z", datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC)),
        ("2024-02-29T00:00:00Z", datetime(2024, 2, 29, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("0000-12-31T23:30:00-01:00", datetime(1, 1, 1, 0, 30, tzinfo=UTC)),
        ("9999-12-31T23:59:59.999999Z", datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC)),
    ],
)
def test_instant_is_read_to_the_microsecond(
    text: str, instant: datetime, neighbours: list[str]
) -> None:
    instants, faults = parse_timestamps(pa.array([text, *neighbours]))
    assert (instants[0].as_py(), faults) == (instant, {})


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", Code.INVALID_TIMESTAMP),
        ("yesterday", Code.INVALID_TIMESTAMP),
        ("2025-08-01", Code.INVALID_TIMESTAMP),
        ("2025-08-01T10Z", Code.INVALID_TIMESTAMP),
        ("2025-08-01Z", Code.INVALID_TIMESTAMP),
        ("20250801T101500Z", Code.INVALID_TIMESTAMP),
        ("2025-02-30T10:15:00Z", Code.INVALID_TIMESTAMP),
        ("2025-13-01T10:15:00Z", Code.INVALID_TIMESTAMP),
        ("2025-08-01T24:00:00Z", Code.INVALID_TIMESTAMP),
        ("2025-08-01T10:60:00Z", Code.INVALID_TIMESTAMP),
        ("2025-08-01T10:15:60Z", Code.INVALID_TIMESTAMP),
        ("2025-08-01T10:15:00.Z", Code.INVALID_TIMESTAMP),
        ("2025-08-01T10:15:00,5Z", Code.INVALID_TIMESTAMP),
        ("2025-08-01T10:15:00+24:00", Code.INVALID_TIMESTAMP),
        ("2025-08-01T10:15:00+02:60", Code.INVALID_TIMESTAMP),
        ("2025-08-01T10:15:00 Z", Code.INVALID_TIMESTAMP),
        (" 2025-08-01T10:15:00Z", Code.INVALID_TIMESTAMP),
        ("2025-08-01T10:15:00Z\n", Code.INVALID_TIMESTAMP),
        ("2025-8-1T10:15:00Z", Code.INVALID_TIMESTAMP),
        ("\uff12025-08-01T10:15:00Z", Code.INVALID_TIMESTAMP),
        ("2025-02-30T10:15:00", Code.INVALID_TIMESTAMP),
        ("2025-08-01T10:15:00", Code.NAIVE_TIMESTAMP),
        ("2025-08-01 10:15:00.25", Code.NAIVE_TIMESTAMP),
        ("0000-01-01T00:00:00Z", Code.TIMESTAMP_OUT_OF_RANGE),
        ("0001-01-01T00:00:00+00:01", Code.TIMESTAMP_OUT_OF_RANGE),
        ("9999-12-31T23:59:59-00:01", Code.TIMESTAMP_OUT_OF_RANGE),
    ],
)
def test_what_is_no_instant_is_told_by_its_code(text: str, code: Code) -> None:
    instants, faults = parse_timestamps(pa.array(["2025-08-01T10:15:00.1234567Z", text]))
    assert (instants[0].as_py(), faults) == (
        datetime(2025, 8, 1, 10, 15, 0, 123_456, UTC),
        {1: code},
    )
    assert parse_timestamp(text) == code


def test_an_hour_without_minutes_is_refused_though_arrow_takes_it() -> None:
    assert parse_timestamps(pa.array(["2025-08-01T10Z"]))[1] == {0: Code.INVALID_TIMESTAMP}

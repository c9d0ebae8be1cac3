"""Times in a file mean to the library what they mean to an import."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from analytics.calendar import offsets_of_local_times, zone
from ingest.timestamps import parse_timestamp
from ingest.zones import to_utc
from tests.library.tables import NOON, instants

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZONES = ("UTC", "Europe/Kyiv", "America/St_Johns", "Pacific/Apia", "America/Sao_Paulo")

offset = st.one_of(
    st.sampled_from(["Z", "z", "", "+02", "-0330", "+23:59", "-23:59", "+24:00", "+2", " Z"]),
    st.builds(
        "{}{:02d}:{:02d}".format, st.sampled_from("+-"), st.integers(0, 25), st.integers(0, 61)
    ),
)
fraction = st.sampled_from(["", ".5", ".123456", ".1234567", ".9999999", "."])
texts = st.builds(
    "{}-{}-{}{}{}:{}{}{}{}".format,
    st.integers(0, 10000).map("{:04d}".format),
    st.integers(0, 13).map("{:02d}".format),
    st.integers(0, 32).map("{:02d}".format),
    st.sampled_from("Tt "),
    st.integers(0, 25).map("{:02d}".format),
    st.integers(0, 61).map("{:02d}".format),
    st.one_of(st.just(""), st.integers(0, 61).map(":{:02d}".format)),
    fraction,
    offset,
)


@given(st.lists(texts, min_size=20, max_size=60))
@example(["2025-08-01T10:15Z", "2025-08-01 10:15+02", "2025-08-01T10:15:00.5-0530", "noon", ""])
@example(["0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "1969-12-31T23:59:59.9999999Z"])
@settings(max_examples=15)
def test_texts_are_read_as_an_import_reads_them(written: list[str]) -> None:
    parsed = [parse_timestamp(text) for text in written]
    expected = [
        (EPOCH + timedelta(microseconds=each)).replace(tzinfo=None)
        for each in parsed
        if isinstance(each, int)
    ]
    # One good row makes sure that the column is one of texts.
    assert instants([*written, NOON], on_reject="skip")[:-1] == expected


@given(
    st.sampled_from(ZONES),
    st.lists(st.datetimes(datetime(1850, 1, 1), datetime(2100, 1, 1)), min_size=1, max_size=50),
)
@settings(max_examples=100)
def test_local_times_are_read_as_an_import_reads_them(name: str, local: list[datetime]) -> None:
    micros = np.array(
        [(each.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1) for each in local]
    )
    expected = to_utc(micros, ZoneInfo(name))
    known = offsets_of_local_times(name, date(1850, 1, 1), date(2100, 1, 1))
    begins = np.array([each.begins_at for each in known]) * 1_000_000
    at = np.searchsorted(begins, micros, side="right") - 1
    found = micros - np.array([each.seconds for each in known])[at] * 1_000_000
    assert found.tolist() == expected.tolist()


def test_clock_changes_are_read_as_an_import_reads_them() -> None:
    for name in ZONES[1:]:
        local = [
            "2010-10-31 03:30:00",
            "2011-03-27 03:30:00",
            "2006-10-29 00:00:30",
            "2011-12-30 12:00",
        ]
        micros = [
            (datetime.fromisoformat(each).replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
            for each in local
        ]
        expected = [
            (EPOCH + timedelta(microseconds=each)).replace(tzinfo=None)
            for each in to_utc(np.array(micros), zone(name)).tolist()
        ]
        assert instants(local, assume_timezone=name) == expected

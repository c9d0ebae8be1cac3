"""What a file or a table of events may look like, and what is said where it doesn't."""

from __future__ import annotations

import gzip
import uuid
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from analytics import Analytics
from analytics.errors import InvalidInput, InvalidQuestion, UnknownZone
from analytics.file.load import Loaded
from analytics.questions.dau import DayUsers
from analytics.questions.top_events import EventCount
from tests.library.tables import NOON, table

FIRST, SECOND = date(2025, 8, 1), date(2025, 8, 2)
DAYS = (DayUsers(FIRST, 2), DayUsers(SECOND, 1))
STAMPS = pa.array(
    [datetime(2025, 8, 1, 10), datetime(2025, 8, 1, 12), datetime(2025, 8, 2, 10)],
    pa.timestamp("us"),
)


def daily(held: Analytics) -> tuple[DayUsers, ...]:
    with held:
        return held.dau(FIRST, SECOND).rows


def test_parquet_csv_and_tables_say_the_same(tmp_path: Path) -> None:
    events = table(occurred_at=STAMPS.cast(pa.timestamp("us", "UTC")), more=[1, 2, 3])
    pa.parquet.write_table(events, tmp_path / "events.parquet")
    texts = table(more=['a "quoted", one', "b", ""])
    pa.csv.write_csv(texts, tmp_path / "events.csv")
    (tmp_path / "more.csv.gz").write_bytes(gzip.compress((tmp_path / "events.csv").read_bytes()))
    made = [
        Analytics.from_parquet(tmp_path / "events.parquet"),
        Analytics.from_csv(tmp_path / "events.csv"),
        Analytics.from_csv(str(tmp_path / "more.csv.gz")),
        Analytics.from_arrow(events),
        Analytics.from_arrow(events.to_reader()),
        Analytics.from_pandas(events.to_pandas()),
        Analytics.from_pandas(pd.DataFrame(texts.to_pydict())),
        Analytics.from_polars(pl.from_arrow(events)),
        Analytics.from_polars(pl.from_arrow(events).lazy()),  # type: ignore[union-attr]
    ]
    assert {daily(held) for held in made} == {DAYS}


def test_pattern_takes_all_files_it_matches(tmp_path: Path) -> None:
    events = table()
    for number in range(3):
        pa.parquet.write_table(events.slice(number, 1), tmp_path / f"part-{number}.parquet")
    assert daily(Analytics.from_parquet(tmp_path / "part-*.parquet")) == DAYS


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
def test_texts_may_be_of_any_kind(kind: pa.DataType) -> None:
    texts = table()
    events = texts.set_column(1, "user_id", texts["user_id"].cast(kind))
    assert daily(Analytics.from_arrow(events)) == DAYS


def test_texts_may_be_dictionaries_and_users_numbers() -> None:
    users = pa.array([2**53 + 1, 2**53, 2**53 + 1])
    events = table(user_id=users, event_type=pa.array(["a", "b", "a"]).dictionary_encode())
    with Analytics.from_arrow(events) as held:
        assert held.dau(FIRST, SECOND).rows == DAYS
        assert held.sql("select user_id from users order by user_id").rows == (
            ("9007199254740992",),
            ("9007199254740993",),
        )


def test_other_names_are_mapped() -> None:
    events = table().rename_columns(["at", "customer", 'what "it" was'])
    columns = {"occurred_at": "at", "user_id": "customer", "event_type": 'what "it" was'}
    assert daily(Analytics.from_arrow(events, columns=columns)) == DAYS
    assert daily(Analytics.from_pandas(events.to_pandas(), columns=columns)) == DAYS


@pytest.mark.parametrize(
    "make", [Analytics.from_arrow, lambda t, **o: Analytics.from_pandas(t.to_pandas(), **o)]
)
def test_missing_column_is_named_with_what_there_is_and_how_to_map(make) -> None:
    events = table().rename_columns(["at", "customer", "event_type"])
    with pytest.raises(InvalidInput) as caught:
        make(events)
    assert str(caught.value) == (
        "There is no column 'occurred_at', 'user_id'; there are 'at', 'customer', 'event_type'. "
        'Name the ones to take: columns={"occurred_at": "...", "user_id": "..."}'
    )
    with pytest.raises(InvalidInput, match=r"no column 'custmer'; there are 'at', 'customer'"):
        make(events, columns={"occurred_at": "at", "user_id": "custmer"})


def test_parquet_without_the_columns_is_told_the_same(tmp_path: Path) -> None:
    pa.parquet.write_table(pa.table({"id": [1], "when": [2]}), tmp_path / "x.parquet")
    with pytest.raises(InvalidInput, match=r"there are 'id', 'when'\. Name the ones to take"):
        Analytics.from_parquet(tmp_path / "x.parquet")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"user_id": [1.5, 2.0, 1.5]}, "'user_id' is DOUBLE; user_id may be text or whole numbers"),
        ({"event_type": [1, 2, 3]}, "'event_type' is BIGINT; event_type may be text"),
        ({"occurred_at": [1, 2, 3]}, "'occurred_at' is BIGINT; occurred_at may be a timestamp"),
        ({"occurred_at": [date(2025, 8, 1)] * 3}, "'occurred_at' is DATE"),
        ({"event_id": [1.5, 2.5, 3.5]}, "'event_id' is DOUBLE; event_id may be UUIDs"),
    ],
)
def test_column_of_another_type_is_refused(columns: dict[str, list[object]], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Analytics.from_arrow(table(**columns))


def test_unknown_option_values_are_refused() -> None:
    with pytest.raises(InvalidInput, match="'user' is no column of an event; map event_id"):
        Analytics.from_arrow(table(), columns={"user": "user_id"})
    with pytest.raises(InvalidInput, match="on_reject is 'ignore'; say abort or skip"):
        Analytics.from_arrow(table(), on_reject="ignore")
    with pytest.raises(UnknownZone, match="'Kyiv' is not a time zone"):
        Analytics.from_arrow(table(), timezone="Kyiv")
    with pytest.raises(InvalidQuestion, match="week_start is 'friday'"):
        Analytics.from_arrow(table(), week_start="friday")


def test_what_is_no_table_or_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_text("no Parquet")
    (tmp_path / "empty.csv").write_text("")
    for refused, message in (
        (lambda: Analytics.from_parquet(tmp_path / "none.parquet"), "There is no file .*none"),
        (lambda: Analytics.from_parquet(tmp_path), "There is no file"),
        (lambda: Analytics.from_parquet("https://x.org/a.parquet"), "not a file of this machine"),
        (lambda: Analytics.from_parquet(tmp_path / "x.parquet"), "x.parquet can't be read"),
        (lambda: Analytics.from_csv(tmp_path / "empty.csv"), "no column|can't be read"),
        (lambda: Analytics.from_arrow(17), "int can't be read as Arrow"),
        (lambda: Analytics.from_pandas(17), "int can't be read as a data frame"),
        (
            lambda: Analytics.from_pandas(table().to_pandas().assign(user_id=[1, "a", b"x"])),
            "give each column one type",
        ),
    ):
        with pytest.raises(InvalidInput, match=message):
            refused()


def test_time_without_a_zone_needs_one_named() -> None:
    events = table(occurred_at=STAMPS)
    with pytest.raises(InvalidInput, match=r"names no zone; .*assume_timezone='UTC'"):
        Analytics.from_arrow(events)
    assert daily(Analytics.from_arrow(events, assume_timezone="UTC")) == DAYS
    with Analytics.from_arrow(events, assume_timezone="Asia/Tokyo") as held:
        assert held.dau("2025-08-01", "2025-08-02").rows == DAYS
        assert held.sql("select min(occurred_at) from events").rows == ((datetime(2025, 8, 1, 1),),)


def test_days_and_weeks_follow_the_calendar_named() -> None:
    events = table(occurred_at=["2025-08-02T23:30:00Z"] * 3)
    with Analytics.from_arrow(events, timezone="Europe/Kyiv", week_start="sunday") as held:
        assert held.dau(last=None).rows[-1] == DayUsers(date(2025, 8, 3), 2)
        assert [row.cohort for row in held.retention()] == [date(2025, 8, 3)]
        assert held.project.timezone == "Europe/Kyiv"


BAD = {
    "user_id: missing": {"user_id": ["ann", None, "ann"]},
    "user_id: longer than 200 characters": {"user_id": ["ann", "é" * 201, "ann"]},
    "user_id: contains NUL": {"user_id": ["ann", "b\0b", "ann"]},
    "event_type: missing": {"event_type": ["look", "", "buy"]},
    "event_type: longer than 200 characters": {"event_type": ["look", "x" * 201, "buy"]},
    "event_id: missing": {"event_id": ["1", "", "3"]},
    "occurred_at: missing": {"occurred_at": [NOON, "noon", NOON]},
    "occurred_at: names no zone": {"occurred_at": [NOON, "2025-08-01 12:00", NOON]},
    "occurred_at: outside the years 1 to 9999": {
        "occurred_at": pa.array([0, 9 * 10**17, 0], pa.int64()).view(pa.timestamp("us", "UTC"))
    },
}


@pytest.mark.parametrize("fault", BAD)
def test_row_that_is_no_event_is_refused_or_left_out(fault: str) -> None:
    events = table(**BAD[fault])
    with pytest.raises(InvalidInput) as caught:
        Analytics.from_arrow(events)
    assert f"1 of 3 rows, the first row 1 (from 0): {fault}" in str(caught.value)
    with Analytics.from_arrow(events, on_reject="skip") as held:
        assert held.loaded is not None
        assert (held.loaded.rows, held.loaded.events, held.loaded.rejected) == (3, 2, 1)
        assert sum(row.count for row in held.top_events()) == 2


def test_longest_texts_that_an_event_may_have_are_taken() -> None:
    events = table(user_id=["é" * 200, "\U0001d518" * 200, "u"], event_type=["x" * 200, "y", "z"])
    with Analytics.from_arrow(events) as held:
        assert held.loaded == Loaded(3, 3, 0, 0, FIRST, SECOND)


def test_repeated_ids_count_once_and_the_first_row_is_the_event() -> None:
    one, two = uuid.uuid4(), uuid.uuid4()
    for ids in (
        [str(one), str(one).upper(), str(two)],
        [one.hex, str(one), str(two)],
        pa.array([one.bytes, one.bytes, two.bytes], pa.binary(16)),
        [7, 7, 8],
        ["a", "a", "b"],
    ):
        events = table(event_id=ids, event_type=["first", "second", "third"])
        with Analytics.from_arrow(events) as held:
            assert held.loaded == Loaded(3, 2, 1, 0, FIRST, SECOND)
            assert held.top_events().rows == (EventCount("first", 1), EventCount("third", 1))


def test_rejected_row_does_not_hide_a_later_one_with_its_id() -> None:
    events = table(event_id=["a", "a", "a"], user_id=[None, "bob", "ann"])
    with Analytics.from_arrow(events, on_reject="skip") as held:
        assert held.loaded == Loaded(3, 1, 1, 1, FIRST, FIRST)
        assert held.top_events().rows == (EventCount("look", 1),)


def test_rows_without_ids_are_all_events() -> None:
    events = table(occurred_at=[NOON] * 3, user_id=["ann"] * 3, event_type=["look"] * 3)
    with Analytics.from_arrow(events) as held:
        assert held.top_events().rows == (EventCount("look", 3),)


def test_file_without_events_and_with_one() -> None:
    with Analytics.from_arrow(table().slice(0, 0)) as held:
        assert held.loaded == Loaded(0, 0, 0, 0, None, None)
        assert {row.dau for row in held.dau()} == {0}
        assert (held.top_events().rows, held.retention().rows) == ((), ())
    with Analytics.from_arrow(table().slice(0, 1)) as held:
        [cohort] = held.retention(window=2).rows
        assert [(cell.active, cell.complete) for cell in cohort.weeks] == [
            (1, False),
            (None, False),
        ]
        assert held.retention().arrow().num_rows == 8


def test_today_of_a_file_is_the_day_of_its_last_event() -> None:
    with Analytics.from_arrow(table()) as held:
        assert (held.dau().rows[0].day, held.dau().rows[-1].day) == (date(2025, 7, 4), SECOND)
        later = held.retention(today="2025-08-15", window=3).rows
        assert [cell.complete for cell in later[0].weeks] == [True, True, False]
        assert datetime.now(UTC) >= held.dau().meta.as_of

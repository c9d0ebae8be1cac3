"""Which columns of a source are taken, by their own names or by others."""

from __future__ import annotations

import io

import pytest

from analytics.errors import InvalidInput
from ingest.columns import MAX_COLUMNS, ColumnOptions, select_columns
from ingest.sources.csv import CsvSource
from ingest.sources.source import SourceOptions
from tests.unit.ingest.rows import HEADER, T0, cells, csv_file, event_id

FILE = csv_file(
    [(T0, "ann", "login", event_id(1), "de", "9,5")],
    ("when", "customer_id", "event_type", "id", "country", "price"),
)
NAMES = {"occurred_at": "when", "user_id": "customer_id", "event_id": "id"}


def read(content: bytes, options: ColumnOptions) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    source = CsvSource(io.BytesIO(content), SourceOptions(options))
    rows = [row for batch in source.batches(10) for row in cells(batch)]
    return rows, source.ignored_columns


def test_columns_with_other_names_are_mapped() -> None:
    assert read(FILE, ColumnOptions(NAMES)) == (
        [(event_id(1), T0, "ann", "login")],
        ("country", "price"),
    )


def test_a_mapped_column_is_not_read_by_its_own_name() -> None:
    content = csv_file(
        [("a", "b", T0, "x", event_id(1))], ("user_id", "uid", *HEADER[1:2], "t", "e")
    )
    names = {"user_id": "uid", "event_type": "t", "event_id": "e"}
    assert read(content, ColumnOptions(names)) == ([(event_id(1), T0, "b", "x")], ("user_id",))


def test_one_column_of_an_event_may_be_read_from_anothers_name() -> None:
    content = csv_file(
        [(event_id(1), T0, "ann", "de")], ("event_id", "occurred_at", "event_type", "c")
    )
    rows, _ = read(content, ColumnOptions({"user_id": "event_type", "event_type": "c"}))
    assert rows == [(event_id(1), T0, "ann", "de")]


def test_the_rest_is_folded_into_properties() -> None:
    rows, ignored = read(FILE, ColumnOptions(NAMES, rest=True))
    assert rows == [(event_id(1), T0, "ann", "login", '{"country":"de","price":"9,5"}')]
    assert ignored == ()


def test_without_ids_the_column_is_neither_needed_nor_read() -> None:
    selection = select_columns(HEADER, ColumnOptions(derive_ids=True))
    assert list(selection.indices) == ["occurred_at", "user_id", "event_type", "properties"]
    assert selection.ignored == ("event_id",)
    assert select_columns(HEADER[1:4], ColumnOptions(derive_ids=True)).indices["user_id"] == 1


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (HEADER, ColumnOptions({"user_id": "uid"}), "lacks uid"),
        ((*HEADER, "uid", "uid"), ColumnOptions({"user_id": "uid"}), "names uid more than once"),
        (["x"] * (MAX_COLUMNS + 1), ColumnOptions(), "4,097 columns; there may be 4,096"),
    ],
)
def test_columns_that_can_not_be_found_are_named(
    names: tuple[str, ...], options: ColumnOptions, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        select_columns(names, options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"names": {"uid": "user_id"}},
            "can't be mapped to 'uid'; an event's columns are event_id",
        ),
        ({"names": {"user_id": ""}}, "'' can't be mapped to 'user_id'"),
        ({"names": {"event_id": "x"}, "derive_ids": True}, "either mapped or made"),
        ({"names": {"event_id": "x", "user_id": "x"}}, "mapped to one and the same name"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        ColumnOptions(**options)  # type: ignore[arg-type]

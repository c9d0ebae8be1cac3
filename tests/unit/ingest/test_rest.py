"""Columns folded into properties, and values of every Arrow type as JSON."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from ingest.json_texts import as_json
from ingest.rest import fold
from ingest.sources.types import is_jsonable

AT = datetime(2025, 8, 1, 10, 15, tzinfo=UTC)


def texts(*values: str | None) -> pa.StringArray:
    return pa.array(values, pa.string())


@pytest.mark.parametrize(
    ("properties", "folded"),
    [
        ("", '{"c":"de","n":1}'),
        ("{}", '{"c":"de","n":1}'),
        (" { } ", '{"c":"de","n":1}'),
        ('{"a":true}', '{"c":"de","n":1,"a":true}'),
        (' {"c":"own"}', '{"c":"de","n":1,"c":"own"}'),
        ("[1]", "[1]"),
        ("text", "text"),
        ("{broken", '{"c":"de","n":1,broken'),
    ],
)
def test_members_stand_before_those_of_the_properties(properties: str, folded: str) -> None:
    result = fold(texts(properties), {"c": texts("de"), "n": pa.array([1])})
    assert result.to_pylist() == [folded]


@pytest.mark.parametrize("others", [1, 2])
def test_null_and_empty_cells_make_no_member(others: int) -> None:
    columns = {"a": texts("x", "", None, "y"), "b": texts("", "", "z", None)}
    found = fold(None, dict(list(columns.items())[:others])).to_pylist()
    expected = [
        {name: value for name, value in zip(columns, row, strict=True) if value}
        for row in zip(*(column.to_pylist() for column in columns.values()), strict=True)
    ]
    kept = [{name: row[name] for name in list(columns)[:others] if name in row} for row in expected]
    assert list(map(json.loads, found)) == kept
    assert fold(texts("", "", "", '{"p":1}'), columns).to_pylist()[1:] == [
        "{}",
        '{"b":"z"}',
        '{"a":"y","p":1}',
    ]


def test_names_and_texts_are_escaped() -> None:
    (text,) = fold(None, {'a"\n': texts('b"\\\n\x01é')}).to_pylist()
    assert json.loads(text) == {'a"\n': 'b"\\\n\x01é'}


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (pa.string(), "x", '"x"'),
        (pa.large_string(), "x", '"x"'),
        (pa.string_view(), "x", '"x"'),
        (pa.dictionary(pa.int8(), pa.string()), "x", '"x"'),
        (pa.int8(), -5, "-5"),
        (pa.uint64(), 2**64 - 1, "18446744073709551615"),
        (pa.bool_(), True, "true"),
        (pa.float64(), 1.5, "1.5"),
        (pa.float64(), float("nan"), "NaN"),
        (pa.float64(), float("-inf"), "-Infinity"),
        (pa.decimal128(38, 20), Decimal("1.00000000000000000001"), "1.00000000000000000001"),
        (pa.date32(), date(2025, 8, 1), '"2025-08-01"'),
        (pa.time64("us"), time(10, 15, 0, 5), '"10:15:00.000005"'),
        (pa.timestamp("ns"), 1_754_043_300_000_000_001, '"2025-08-01T10:15:00.000000001"'),
        (pa.timestamp("us", "UTC"), AT, '"2025-08-01T10:15:00Z"'),
        (pa.duration("s"), 90, "90"),
        (pa.binary(), b"\x01\xff", '"01ff"'),
        (pa.uuid(), bytes(16), '"00000000-0000-0000-0000-000000000000"'),
        (pa.json_(), '{"a":1.50}', '{"a":1.50}'),
        (pa.list_(pa.int64()), [1, None], "[1,null]"),
        (pa.map_(pa.string(), pa.int64()), [("a", 1), ("b", None)], '{"a":1,"b":null}'),
        (pa.struct({"a": pa.int64(), "b": pa.string()}), {"a": 1, "b": None}, '{"a":1}'),
        (
            pa.struct({"t": pa.list_(pa.struct({"at": pa.timestamp("s", "UTC")}))}),
            {"t": [{"at": AT}, {}, None]},
            '{"t":[{"at":"2025-08-01T10:15:00Z"},{},null]}',
        ),
    ],
    ids=str,
)
def test_a_value_of_every_type_is_written_with_all_its_digits(
    kind: pa.DataType, value: Any, text: str
) -> None:
    column = pa.array([None, value, value], kind)
    assert is_jsonable(kind)
    assert as_json(column).to_pylist() == [None, text, text]
    assert as_json(column.slice(1, 1)).to_pylist() == [text]
    assert as_json(column.slice(0, 0)).to_pylist() == []


@pytest.mark.parametrize(
    "kind",
    [
        pa.map_(pa.int64(), pa.string()),
        pa.list_view(pa.int64()),
        pa.list_(pa.int64(), 2),
        pa.month_day_nano_interval(),
        pa.run_end_encoded(pa.int32(), pa.string()),
    ],
    ids=str,
)
def test_types_that_json_has_no_place_for_are_known(kind: pa.DataType) -> None:
    assert not is_jsonable(kind)
    assert not is_jsonable(pa.struct({"a": kind}))

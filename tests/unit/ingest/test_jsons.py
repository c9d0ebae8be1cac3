"""JSON: every shape a body may have, and what becomes of elements that are no events."""

from __future__ import annotations

import io
import json
from typing import Any
from uuid import UUID

import pytest

from ingest.errors import InvalidJson
from ingest.rejects import Code, Reject, Unit
from ingest.sources.jsons import JsonSource, read_json
from tests.unit.ingest.rows import T0, cells, event_id

EVENT = {"event_id": event_id(1), "occurred_at": T0, "user_id": "ann", "event_type": "login"}


def body(*events: Any) -> bytes:
    return json.dumps(events).encode()


def field(text: str, name: str) -> str:
    """What becomes of a field given as this JSON text."""
    written = json.dumps(EVENT | {name: 0}).replace(f'"{name}": 0', f'"{name}": {text}')
    column: list[str] = read_json(written.encode()).columns[name].to_pylist()
    return column[0]


@pytest.mark.parametrize("content", [body(EVENT), json.dumps(EVENT).encode()])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_an_array_and_one_event_alone_are_the_same(content: bytes, mark: bytes) -> None:
    batch = read_json(mark + content)
    assert cells(batch) == [(event_id(1), T0, "ann", "login", "{}")]
    assert (batch.unit, batch.rejects) == (Unit.INDEX, ())
    assert [place.position for place in batch.locate([0])] == [0]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("7", "7"),
        ("-7", "-7"),
        ("-0", "0"),
        ("9007199254740993", "9007199254740993"),
        ("18446744073709551615", "18446744073709551615"),
        ("18446744073709551616", "18446744073709551616"),
        ("-9223372036854775809", "-9223372036854775809"),
        ("-00000000000000000000".replace("0", "1"), "-11111111111111111111"),
        ('"007"', "007"),
    ],
)
def test_an_integer_user_becomes_its_digits(written: str, kept: str) -> None:
    assert field(written, "user_id") == kept


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("{}", "{}"),
        ("null", "{}"),
        ('{"a": 1.5}', '{"a":1.5}'),
        ('{"n": 18446744073709551616}', '{"n":18446744073709551616}'),
        ('{"n": 0.12345678901234567890}', '{"n":0.12345678901234567890}'),
        ('{"n": [1e-320, {"m": -1.0e0}]}', '{"n":[1e-320,{"m":-1.0e0}]}'),
        ('{"a": 1, "a": 2}', '{"a":2}'),
        ('{"é": "\\u0000\\ud83d\\ude00"}', '{"é":"\\u0000\U0001f600"}'),
    ],
)
def test_properties_keep_every_digit(written: str, kept: str) -> None:
    assert field(written, "properties") == kept


def test_of_a_field_given_twice_the_last_counts() -> None:
    assert field('"ann", "user_id": "bob"', "user_id") == "bob"


@pytest.mark.parametrize(
    ("element", "code", "name", "message"),
    [
        (7, Code.NOT_AN_OBJECT, None, "the element is the number 7; an event is an object"),
        ("x", Code.NOT_AN_OBJECT, None, "the element is a string; an event is an object"),
        (None, Code.NOT_AN_OBJECT, None, "the element is null; an event is an object"),
        (
            EVENT | {"plan": 1},
            Code.UNKNOWN_FIELD,
            "plan",
            "events have no field 'plan'; what is your own goes into properties",
        ),
        (
            {**EVENT, "event_type": None},
            Code.MISSING_FIELD,
            "event_type",
            "event_type is null; every event has one",
        ),
        (
            {name: value for name, value in EVENT.items() if name != "user_id"},
            Code.MISSING_FIELD,
            "user_id",
            "user_id is missing; every event has one",
        ),
        (
            EVENT | {"user_id": 1.5},
            Code.WRONG_TYPE,
            "user_id",
            "user_id is the number 1.5; it must be a string or an integer",
        ),
        (
            EVENT | {"user_id": True},
            Code.WRONG_TYPE,
            "user_id",
            "user_id is a boolean; it must be a string or an integer",
        ),
        (
            EVENT | {"occurred_at": 1754043300},
            Code.WRONG_TYPE,
            "occurred_at",
            "occurred_at is the number 1754043300; it must be a string",
        ),
        (
            EVENT | {"properties": [1]},
            Code.INVALID_PROPERTIES,
            "properties",
            "properties is an array; it must be an object",
        ),
    ],
)
def test_an_element_that_is_no_event_is_rejected_with_its_index(
    element: Any, code: Code, name: str | None, message: str
) -> None:
    batch = read_json(body(EVENT, element, EVENT))
    known = UUID(int=1) if isinstance(element, dict) else None
    raw = json.dumps(element, separators=(",", ":"))
    assert batch.rejects == (Reject(1, Unit.INDEX, code, name, message, known, raw),)
    assert [place.position for place in batch.locate([0, 1])] == [0, 2]
    assert batch.rows == 3


def test_nesting_beyond_all_measure_is_rejected() -> None:
    deep: Any = 1
    for _ in range(300):
        deep = {"a": deep}
    (reject,) = read_json(body(EVENT | {"properties": deep})).rejects
    assert (reject.code, reject.raw) == (Code.TOO_DEEP, "(nested too deep to show)")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b" ", "The input is empty; send a JSON array of events, or one event"),
        (
            b'[{"a":1},\n{]',
            "The input is not JSON: unexpected character, expected a string key at"
            " line 2, column 2; send a JSON array of events, or one event",
        ),
        (b'["\xff"]', "The input is not UTF-8 text: byte 3 can't be read; send UTF-8"),
        (b'"x"', "The input is JSON, but a string; send an array of events, or one event"),
        (b"null", "The input is JSON, but null; send an array of events, or one event"),
        (b"1.5", "The input is JSON, but the number 1.5; send an array of events, or one event"),
        (
            b"12345678901234567890123",
            "The input is JSON, but the number 12345678901234567890123; send an array of events,"
            " or one event",
        ),
        (
            b"[1e999]",
            "The input is not JSON: number is infinity when parsed as double at line 1, column 2;"
            " send a JSON array of events, or one event",
        ),
        (
            b"[12345678901234567890" + b",[1" * 1000 + b"]" * 1001,
            "The input nests objects and arrays too deep",
        ),
    ],
)
def test_a_body_that_is_no_array_of_events_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(InvalidJson) as refused:
        read_json(content)
    assert str(refused.value) == message


def test_a_source_gives_the_array_in_batches() -> None:
    content = body(EVENT, 1, EVENT, EVENT, 2)
    batches = list(JsonSource(io.BytesIO(content)).batches(2))
    assert [batch.rows for batch in batches] == [2, 2, 1]
    assert [reject.position for batch in batches for reject in batch.rejects] == [1, 4]
    assert [place.position for place in batches[1].locate([0, 1])] == [2, 3]
    assert sum(batch.bytes_read for batch in batches) == len(content)
    assert list(JsonSource(io.BytesIO(b"[]")).batches(2)) == []

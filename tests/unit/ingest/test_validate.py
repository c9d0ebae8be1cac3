"""Validation: each code with its exact message, and which rows are left."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_URL, UUID, uuid5

import pytest

from analytics.events import ProjectId
from ingest.rejects import Code, Reject, Unit
from ingest.rules import Rules, project_namespace
from ingest.validate import EVENTS, validate
from tests.unit.ingest.rows import HEADER, LINE, check, csv_file, event_id, read, row

EXAMPLE = "write it like 6b1f5f0e-6c0a-4d7e-9d3e-0b6f2b3c4d5e"


def test_good_rows_become_typed_columns_in_their_order() -> None:
    content = csv_file([row(2, properties=""), row(1, user_id="bob", properties='{"n":1.50}')])
    (checked,) = check(content)
    at = datetime(2025, 8, 1, 10, 15, tzinfo=UTC)
    assert checked.events.schema == EVENTS
    assert [tuple(event.values()) for event in checked.events.to_pylist()] == [
        (UUID(int=2).bytes, at, "ann", "login", "{}"),
        (UUID(int=1).bytes, at, "bob", "login", '{"n":1.50}'),
    ]
    assert (checked.rows, checked.rejects) == (2, ())


@pytest.mark.parametrize(
    ("field", "value", "code", "message"),
    [
        ("event_id", "", Code.MISSING_FIELD, "event_id is empty; every event has one"),
        ("event_id", "x\ty", Code.INVALID_EVENT_ID, f"event_id 'x\\ty' is not a UUID; {EXAMPLE}"),
        ("occurred_at", "", Code.MISSING_FIELD, "occurred_at is empty; every event has one"),
        (
            "occurred_at",
            "01.08.2025",
            Code.INVALID_TIMESTAMP,
            "occurred_at '01.08.2025' is not a date and time; write it like 2025-08-01T10:15:00Z",
        ),
        (
            "occurred_at",
            "2025-08-01T10:15:00",
            Code.NAIVE_TIMESTAMP,
            "occurred_at '2025-08-01T10:15:00' names no zone; add Z for UTC, or an offset like"
            " +02:00",
        ),
        (
            "occurred_at",
            "0000-08-01T10:15:00Z",
            Code.TIMESTAMP_OUT_OF_RANGE,
            "occurred_at '0000-08-01T10:15:00Z' is outside the years 1 to 9999 in UTC",
        ),
        ("user_id", "", Code.MISSING_FIELD, "user_id is empty; every event has one"),
        (
            "user_id",
            "é" * 201,
            Code.TOO_LONG,
            f"user_id '{'é' * 59}…' has 201 characters; it may have 200",
        ),
        (
            "user_id",
            "a\0b",
            Code.NUL_CHARACTER,
            "user_id 'a\\x00b' holds a NUL character, which Postgres can't store",
        ),
        ("event_type", "", Code.MISSING_FIELD, "event_type is empty; every event has one"),
        (
            "event_type",
            "x" * 201,
            Code.TOO_LONG,
            f"event_type '{'x' * 59}…' has 201 characters; it may have 200",
        ),
        (
            "properties",
            "{",
            Code.INVALID_PROPERTIES,
            "properties '{' is not JSON: unexpected end of data at character 2",
        ),
    ],
)
def test_a_wrong_value_rejects_its_row_alone(
    field: str, value: str, code: Code, message: str
) -> None:
    bad = row(2, **{field: value})
    (checked,) = check(csv_file([row(1), bad, row(3)]))
    known = None if field == "event_id" else UUID(int=2)
    raw = csv_file([bad]).decode().removeprefix(LINE).rstrip("\n")
    assert checked.rejects == (Reject(3, Unit.LINE, code, field, message, known, raw),)
    assert checked.events["event_id"].to_pylist() == [UUID(int=1).bytes, UUID(int=3).bytes]
    assert checked.rows == 3


def test_texts_at_their_limits_are_taken() -> None:
    longest = "\U0001f600" * 200
    (checked,) = check(csv_file([row(1, user_id=longest, event_type="x")]))
    assert checked.rejects == ()
    assert checked.events["user_id"].to_pylist() == [longest]


def test_a_row_wrong_in_many_columns_is_rejected_for_the_first() -> None:
    (checked,) = check(csv_file([["x", "x", "", "", "x"], [event_id(1), "x", "", "", "x"]]))
    assert [(reject.code, reject.field) for reject in checked.rejects] == [
        (Code.INVALID_EVENT_ID, "event_id"),
        (Code.INVALID_TIMESTAMP, "occurred_at"),
    ]


def test_rejects_of_reading_and_of_validation_come_in_the_order_of_the_file() -> None:
    rows = [row(1, user_id=""), [event_id(2)], row(3), row(4, event_type=""), [event_id(5)]]
    (checked,) = check(csv_file(rows))
    assert [(reject.position, reject.code) for reject in checked.rejects] == [
        (2, Code.MISSING_FIELD),
        (3, Code.WRONG_CELL_COUNT),
        (5, Code.MISSING_FIELD),
        (6, Code.WRONG_CELL_COUNT),
    ]
    assert checked.rows == 5


def test_without_a_properties_column_every_event_has_none() -> None:
    (checked,) = check(csv_file([row(1)[:4], row(2)[:4]], HEADER[:4]))
    assert checked.events["properties"].to_pylist() == ["{}", "{}"]


def test_an_id_that_is_no_uuid_is_derived_within_its_project() -> None:
    rules = Rules(namespace=project_namespace(ProjectId(7)))
    (batch,) = read(csv_file([row(1, event_id="evt_1"), row(2), row(3, event_id="é" * 200)]))
    checked = validate(batch, rules)
    namespace = uuid5(NAMESPACE_URL, "urn:tidemark:project:7")
    assert checked.rejects == ()
    assert checked.events["event_id"].to_pylist() == [
        uuid5(namespace, "evt_1").bytes,
        UUID(int=2).bytes,
        uuid5(namespace, "é" * 200).bytes,
    ]


@pytest.mark.parametrize(
    ("given", "code"),
    [("", Code.MISSING_FIELD), ("x" * 201, Code.TOO_LONG), ("a\0", Code.NUL_CHARACTER)],
)
def test_an_id_that_is_none_at_all_is_rejected_all_the_same(given: str, code: Code) -> None:
    (batch,) = read(csv_file([row(1, event_id=given)]))
    (reject,) = validate(batch, Rules(namespace=UUID(int=1))).rejects
    assert (reject.code, reject.field) == (code, "event_id")


def test_an_event_too_far_ahead_is_rejected() -> None:
    now = datetime(2025, 8, 1, tzinfo=UTC)
    rules = Rules(max_ahead=timedelta(hours=24), clock=now.timestamp)
    times = ["2025-08-02T00:00:00Z", "2025-08-02T00:00:00.000001Z", "2025-08-02T02:00:00+02:00"]
    (batch,) = read(csv_file([row(n, occurred_at=text) for n, text in enumerate(times)]))
    checked = validate(batch, rules)
    assert [(reject.position, reject.code, reject.message) for reject in checked.rejects] == [
        (
            3,
            Code.TIMESTAMP_AHEAD,
            "occurred_at '2025-08-02T00:00:00.000001Z' is more than 24 hours from now; is the"
            " sender's clock right?",
        )
    ]
    assert len(checked.events) == 2


def test_properties_have_the_size_and_depth_of_the_rules() -> None:
    rules = Rules(max_properties_bytes=10, max_depth=2)
    texts = ['{"a":"123"}', '{"a":"12"}', '{"a":[]}', '{"a":[[]]}']
    (batch,) = read(csv_file([row(n, properties=text) for n, text in enumerate(texts)]))
    assert [(reject.position, reject.message) for reject in validate(batch, rules).rejects] == [
        (2, "properties has 11 bytes; it may have 10"),
        (5, "properties nests objects and arrays more than 2 levels deep"),
    ]

"""Raw columns in, events out: column by column, with a reject for each row that is none.

The limits are those of analytics.events; a batch of events that comes out of here is one that
Postgres takes. A row is rejected for the first of its columns that is wrong, in the order of
analytics.events.COLUMNS. No Python code runs for each good row.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NamedTuple
from uuid import UUID

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from analytics.events import COLUMNS, MAX_TEXT_CHARACTERS
from ingest.identifiers import (
    UUID_BYTES,
    bytes_of,
    derived_uuid,
    fixed_bytes,
    parse_uuid,
    parse_uuids,
)
from ingest.properties import EMPTY, check_properties
from ingest.rejects import Code, Reject, shown
from ingest.rules import NO_RULES, Rules
from ingest.sources.source import RawBatch
from ingest.texts import written
from ingest.timestamps import INSTANT, parse_timestamps, read_timestamps

EVENTS: Final = pa.schema(
    [
        pa.field("event_id", pa.binary(16), nullable=False),
        pa.field("occurred_at", INSTANT, nullable=False),
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("event_type", pa.string(), nullable=False),
        pa.field("properties", pa.string(), nullable=False),
    ]
)

_EXAMPLE_ID: Final = "6b1f5f0e-6c0a-4d7e-9d3e-0b6f2b3c4d5e"
_TIMESTAMP_MESSAGES: Final = {
    Code.INVALID_TIMESTAMP: "is not a date and time; write it like 2025-08-01T10:15:00Z",
    Code.NAIVE_TIMESTAMP: "names no zone; add Z for UTC, or an offset like +02:00",
    Code.TIMESTAMP_OUT_OF_RANGE: "is outside the years 1 to 9999 in UTC",
}


@dataclass(frozen=True, slots=True)
class Checked:
    """A batch told apart.

    Attributes:
        events: The good rows in the source's order, in the schema EVENTS.
        rejects: The others, in the source's order.
        rows: How many rows there were, both together.
    """

    events: pa.RecordBatch
    rejects: tuple[Reject, ...]
    rows: int


class _Fault(NamedTuple):
    field: str
    code: Code
    message: str


_Column = tuple[pa.Array, dict[int, _Fault]]


def validate(batch: RawBatch, rules: Rules = NO_RULES) -> Checked:
    """Tells the events of a batch from the rows that are none."""
    columns = {
        "event_id": _event_ids(batch.columns["event_id"], rules.namespace),
        "occurred_at": _instants(batch.columns["occurred_at"], rules),
        "user_id": _texts("user_id", batch.columns["user_id"]),
        "event_type": _texts("event_type", batch.columns["event_type"]),
        "properties": _properties(batch, rules),
    }
    events = pa.RecordBatch.from_arrays([columns[name][0] for name in COLUMNS], schema=EVENTS)
    faults: dict[int, _Fault] = {}
    for name in reversed(COLUMNS):
        faults.update(columns[name][1])
    if faults:
        keep = np.ones(len(events), bool)
        keep[list(faults)] = False
        events = events.filter(pa.array(keep))
    rejects = batch.rejects + _rejects(batch, faults)
    if batch.rejects and faults:
        rejects = tuple(sorted(rejects, key=lambda reject: reject.position))
    return Checked(events, rejects, batch.rows)


def _rejects(batch: RawBatch, faults: dict[int, _Fault]) -> tuple[Reject, ...]:
    rows = sorted(faults)
    if not rows:
        return ()
    texts = {name: written(column, rows) for name, column in batch.columns.items()}
    records = [dict(zip(texts, row, strict=True)) for row in zip(*texts.values(), strict=True)]
    return tuple(
        Reject(
            position=place.position,
            unit=batch.unit,
            code=faults[row].code,
            field=faults[row].field,
            message=faults[row].message,
            event_id=parse_uuid(record["event_id"] or ""),
            raw=place.raw,
            record=_record(record),
        )
        for row, place, record in zip(rows, batch.locate(rows), records, strict=True)
    )


def _record(texts: dict[str, str | None]) -> str:
    """The row as a JSON object; properties as such if they can be read."""
    values: dict[str, object] = {name: text for name, text in texts.items() if text}
    if properties := texts.get("properties"):
        with suppress(orjson.JSONDecodeError):
            orjson.loads(properties)
            values["properties"] = orjson.Fragment(properties)
    return orjson.dumps(values).decode()


def _event_ids(values: pa.Array, namespace: UUID | None) -> _Column:
    if pa.types.is_string(values.type):
        return _spelt_ids(values, namespace)
    sizes = pc.fill_null(pc.binary_length(values), 0).to_numpy()
    bad = np.flatnonzero(sizes != UUID_BYTES).tolist()
    faults = {}
    for row in bad:
        message = f"event_id has {sizes[row]} bytes; a UUID has {UUID_BYTES}"
        fault = _Fault("event_id", Code.INVALID_EVENT_ID, message)
        faults[row] = fault if values[row].is_valid else _missing("event_id")
    if bad:
        values = pc.if_else(pa.array(sizes == UUID_BYTES), values, bytes(UUID_BYTES))
    return values.cast(pa.binary(UUID_BYTES)), faults


def _spelt_ids(texts: pa.StringArray, namespace: UUID | None) -> _Column:
    values, bad = parse_uuids(texts)
    faults: dict[int, _Fault] = {}
    if not bad:
        return values, faults
    ids = bytes_of(values).copy()
    for row in bad:
        text = texts[row].as_py()
        derived = derived_uuid(namespace, text) if namespace else None
        if derived:
            ids[row] = np.frombuffer(derived.bytes, np.uint8)
        elif not text:
            faults[row] = _missing("event_id")
        elif namespace:
            faults[row] = _text_fault("event_id", text)
        else:
            message = f"event_id {shown(text)} is not a UUID; write it like {_EXAMPLE_ID}"
            faults[row] = _Fault("event_id", Code.INVALID_EVENT_ID, message)
    return fixed_bytes(ids), faults


def _instants(values: pa.Array, rules: Rules) -> _Column:
    faults = {}
    if pa.types.is_timestamp(values.type):
        instants, codes = read_timestamps(values, rules.zone)
        absent = values.is_null().to_numpy(zero_copy_only=False)
    else:
        instants, codes = parse_timestamps(values, rules.zone)
        absent = pc.equal(values, "").to_numpy(zero_copy_only=False)
    if rules.max_ahead is not None:
        latest = int((rules.clock() + rules.max_ahead.total_seconds()) * 1_000_000)
        ahead = np.flatnonzero(instants.cast(pa.int64()).to_numpy() > latest)
        codes |= dict.fromkeys(ahead.tolist(), Code.TIMESTAMP_AHEAD)
    rows = sorted(codes)
    for row, text in zip(rows, written(values, rows), strict=True):
        message = f"occurred_at {shown(text or '')} {_timestamp_message(codes[row], rules)}"
        faults[row] = _Fault("occurred_at", codes[row], message)
    missing = np.flatnonzero(absent).tolist()
    return instants, faults | dict.fromkeys(missing, _missing("occurred_at"))


def _timestamp_message(code: Code, rules: Rules) -> str:
    if code is Code.TIMESTAMP_AHEAD and rules.max_ahead is not None:
        hours = rules.max_ahead.total_seconds() / 3_600
        return f"is more than {hours:g} hours from now; is the sender's clock right?"
    return _TIMESTAMP_MESSAGES[code]


def _texts(name: str, texts: pa.StringArray) -> _Column:
    """Of 1 to MAX_TEXT_CHARACTERS characters, none of them NUL."""
    if not len(texts):
        return texts, {}
    sizes = pc.binary_length(texts).to_numpy()
    suspects = pc.match_substring(texts, "\0").to_numpy(zero_copy_only=False) | (sizes == 0)
    if sizes.max() > MAX_TEXT_CHARACTERS:
        suspects |= pc.utf8_length(texts).to_numpy() > MAX_TEXT_CHARACTERS
    faults = {
        row: _text_fault(name, texts[row].as_py()) for row in np.flatnonzero(suspects).tolist()
    }
    return texts, faults


def _text_fault(name: str, text: str) -> _Fault:
    if not text:
        return _missing(name)
    if "\0" in text:
        message = f"{name} {shown(text)} holds a NUL character, which Postgres can't store"
        return _Fault(name, Code.NUL_CHARACTER, message)
    message = (
        f"{name} {shown(text)} has {len(text):,} characters; it may have {MAX_TEXT_CHARACTERS}"
    )
    return _Fault(name, Code.TOO_LONG, message)


def _properties(batch: RawBatch, rules: Rules) -> _Column:
    texts = batch.columns.get("properties")
    if texts is None:
        return pa.repeat(EMPTY, len(batch.columns["event_id"])), {}
    values, flaws = check_properties(texts, rules)
    return values, {row: _Fault("properties", *flaw) for row, flaw in flaws.items()}


def _missing(name: str) -> _Fault:
    return _Fault(name, Code.MISSING_FIELD, f"{name} is empty; every event has one")

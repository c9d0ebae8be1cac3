"""Columns are judged as single values are, whatever stands in them."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.identifiers import parse_uuid, parse_uuids
from ingest.properties import check_properties, flaw_of
from ingest.rejects import Code
from ingest.sources.jsons import read_json
from ingest.timestamps import parse_timestamp, parse_timestamps
from tests.unit.ingest.rows import T0, event_id

EXAMPLES = settings(max_examples=150)
SOME = st.integers(0, 6)

uuid_texts = st.one_of(
    st.uuids().map(str),
    st.uuids().map(lambda value: value.hex.upper()),
    st.uuids().map(lambda value: f"{{{value}}}"),
    st.uuids().map(lambda value: value.urn),
    st.text("0123456789abcdefABCDEF-{}_ \u0663", min_size=30, max_size=40),
    st.text(max_size=40),
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
zones = st.sampled_from(["Z", "z", "", "+02:00", "-0330", "+14", "-23:59", "+24:00", " Z", "+2"])
likely_timestamps = st.builds(
    "{:04}-{:02}-{:02}{}{:02}:{:02}{}{}".format,
    st.one_of(st.integers(0, 2), st.integers(1968, 2030), st.integers(9998, 9999)),
    st.integers(0, 13),
    st.one_of(st.integers(1, 28), st.integers(0, 32)),
    st.sampled_from("TTt  _"),
    st.integers(0, 24),
    st.integers(0, 60),
    st.sampled_from([":00", ":59", ":60", "", ":07.5", ":07.", ":07.1234567891234", ":7"]),
    zones,
)
timestamp_texts = st.one_of(
    likely_timestamps,
    st.text("0123456789-:.TZtz+ ", max_size=32),
    st.sampled_from([T0, "2025-08-01 10:15:00.25+00"]),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@EXAMPLES
@given(st.lists(uuid_texts, max_size=8), SOME)
def test_uuids_of_a_column_are_those_of_its_texts(texts: list[str], skipped: int) -> None:
    expected = [parse_uuid(text) for text in texts[skipped:]]
    values, bad = parse_uuids(pa.array(texts, pa.string()).slice(skipped))
    assert values.to_pylist() == [value.bytes if value else bytes(16) for value in expected]
    assert bad == [row for row, value in enumerate(expected) if value is None]


@EXAMPLES
@given(uuid_texts)
def test_a_uuid_that_is_taken_is_the_one_that_python_reads(text: str) -> None:
    parsed = parse_uuid(text)
    assert parsed is None or parsed == UUID(text)


@EXAMPLES
@given(st.lists(timestamp_texts, max_size=8), SOME)
def test_instants_of_a_column_are_those_of_its_texts(texts: list[str], skipped: int) -> None:
    expected = [parse_timestamp(text) for text in texts[skipped:]]
    instants, faults = parse_timestamps(pa.array(texts, pa.string()).slice(skipped))
    assert instants.cast(pa.int64()).to_pylist() == [
        0 if isinstance(value, Code) else value for value in expected
    ]
    assert faults == {row: code for row, code in enumerate(expected) if isinstance(code, Code)}


@EXAMPLES
@given(
    st.datetimes().filter(lambda at: 1 < at.year < 9999), st.integers(-1439, 1439), st.booleans()
)
def test_an_instant_is_the_one_that_python_reads(
    local: datetime, minutes: int, spaced: bool
) -> None:
    at = local.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    text = at.isoformat(" " if spaced else "T")
    assert parse_timestamp(text) == (at - EPOCH) // timedelta(microseconds=1)


@EXAMPLES
@given(
    st.lists(
        st.one_of(json_values.map(json.dumps), st.text('{}[]":,0eE.-\\u\x00 ', max_size=20)),
        max_size=8,
    )
)
def test_properties_of_a_column_are_judged_as_single_texts(texts: list[str]) -> None:
    _, flaws = check_properties(pa.array(texts, pa.string()))
    expected = {row: flaw_of(text) for row, text in enumerate(texts) if text}
    assert flaws == {row: flaw for row, flaw in expected.items() if flaw}


@EXAMPLES
@given(st.dictionaries(st.text(max_size=5), json_values, max_size=4))
def test_every_json_object_of_usual_numbers_is_taken(value: dict[str, object]) -> None:
    text = json.dumps(value)
    refused = re.search(r"NaN|Infinity|\\u0000|\\ud[89a-f]", text)
    flaw = flaw_of(text)
    assert flaw is None or refused


@EXAMPLES
@given(
    st.dictionaries(
        st.text(max_size=3).filter(lambda text: text.isprintable()),
        st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30),
        min_size=1,
    )
)
def test_numbers_of_a_body_keep_their_value(numbers: dict[str, object]) -> None:
    members = ",".join(f"{json.dumps(key)}:{number}" for key, number in numbers.items())
    event = {"event_id": event_id(1), "occurred_at": T0, "user_id": "a", "event_type": "b"}
    body = json.dumps(event)[:-1] + ',"properties":{' + members + "}}"
    (kept,) = read_json(body.encode()).columns["properties"].to_pylist()
    read = json.loads(kept, parse_float=Decimal)
    assert read == numbers

"""JSON arrays of any size, cut into elements, and NDJSON, line by line."""

from __future__ import annotations

import io
import json
from typing import Any
from uuid import UUID

import pytest

from analytics.errors import InvalidInput
from ingest.columns import AS_NAMED, ColumnOptions
from ingest.errors import InvalidJson
from ingest.rejects import Code, Unit, shortened
from ingest.sources import json_elements, ndjson
from ingest.sources.json_elements import JsonElements
from ingest.sources.jsons import JsonSource
from ingest.sources.ndjson import NdjsonSource
from ingest.sources.source import RawBatch, SourceOptions
from tests.unit.ingest.rows import T0, cells, event_id

EVENT = {"event_id": event_id(1), "occurred_at": T0, "user_id": "ann", "event_type": "login"}


class OneByteAtATime(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 0, 1))


def elements(content: bytes, opened: type[io.BytesIO] = io.BytesIO) -> list[bytes]:
    return [text for block in JsonElements(opened(content), 3).blocks() for text in block.elements]


def lines(content: bytes, options: ColumnOptions = AS_NAMED) -> list[RawBatch]:
    return list(NdjsonSource(io.BytesIO(content), SourceOptions(options)).batches(3))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"[]", []),
        (b" \n[ \r\n]\t ", []),
        (b"\xef\xbb\xbf[1]", [b"1"]),
        (b'[{"a":[1,2]},[3,[4]], "x" ,null]', [b'{"a":[1,2]}', b"[3,[4]]", b' "x" ', b"null"]),
        (rb'["a,]","\",[","\\",1,"\\\",{"]', [rb'"a,]"', rb'"\",["', rb'"\\"', b"1", rb'"\\\",{"']),
        (b"[1,,2,]", [b"1", b"", b"2", b""]),
        (b'{"a":"}"} \n', [b'{"a":"}"}']),
    ],
)
@pytest.mark.parametrize("opened", [io.BytesIO, OneByteAtATime])
def test_elements_end_outside_quotes_and_brackets(
    content: bytes, found: list[bytes], opened: type[io.BytesIO]
) -> None:
    assert elements(content, opened) == found


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "The input is empty; send a JSON array of events, or one event"),
        (b"\xef\xbb\xbf \n", "The input is empty"),
        (b"nonsense", "The input is neither a JSON array nor an object; send a JSON array"),
        (
            b'[{"a":1},{"a"',
            "The input ends too early, within element 1; was it cut off on its way?",
        ),
        (b'["x', "The input ends too early, within element 0"),
        (b"[1,2", "The input ends too early, within element 1"),
        (b"[1}", "Element 0 has a bracket that was never opened"),
        (b"[1] x", "Something follows the array"),
        (
            b'{"a":1}\n{"a":2}',
            "Something follows the object; a file with an object on each line is",
        ),
        (b'{"a":1', "The input ends too early, within element 0"),
        (b"\x1f\x8b\x08", "The file is gzip data; give it a name that ends in .gz"),
        (b"\xff\xfe[\0", "The file is UTF-16; save it as UTF-8"),
        (b"PAR1", "The file is Parquet; give it a name that ends in .parquet"),
    ],
)
def test_input_that_is_no_array_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        elements(content)
    assert str(refused.value).startswith(message)


def test_an_element_without_end_is_refused_before_it_fills_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(json_elements, "MAX_ELEMENT_BYTES", 1 << 20)
    stream = io.BytesIO(b'["' + b"x" * (8 << 20))
    with pytest.raises(InvalidJson, match="Element 0 is longer than 1 MiB"):
        list(JsonElements(stream, 3).blocks())
    assert stream.tell() <= 2 << 20


def test_an_element_that_is_not_json_is_rejected_by_itself() -> None:
    good = json.dumps(EVENT)
    bad = ['{"event_id": NaN}', "", "\\", '{"a":1} {"a":2}', '{"x":"\\ud800"}']
    content = f"[{','.join([good, *bad, good])}]".encode()
    batches = list(JsonSource(io.BytesIO(content)).batches(4))
    rejects = [reject for batch in batches for reject in batch.rejects]
    assert [(reject.position, reject.code) for reject in rejects] == [
        (position, Code.INVALID_JSON) for position in range(1, 6)
    ]
    assert rejects[0].message.startswith("the event is not JSON: unexpected character")
    assert rejects[0].raw == '{"event_id": NaN}'
    assert [place.position for batch in batches for place in batch.locate([0])] == [0, 6]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_each_line_is_an_event_at_its_line(end: str) -> None:
    texts = [json.dumps({**EVENT, "event_id": event_id(number)}) for number in range(8)]
    content = b"\xef\xbb\xbf" + end.join([*texts[:4], "", " ", *texts[4:]]).encode()
    batches = lines(content)
    assert [cells(batch)[0][0] for batch in batches if batch.rows][:2] == [event_id(0), event_id(3)]
    assert [place.position for batch in batches for place in batch.locate(range(batch.rows))] == [
        1,
        2,
        3,
        4,
        7,
        8,
        9,
        10,
    ]
    assert batches[0].unit is Unit.LINE
    assert sum(batch.bytes_read for batch in batches) == len(content)


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        (b"{", Code.INVALID_JSON, "the event is not JSON: unexpected end of data"),
        (b"{} {}", Code.INVALID_JSON, "the event is not JSON"),
        (b"\xff", Code.INVALID_JSON, "the event is not UTF-8 text: byte 1 can't be read"),
        (b'{"user_id":1e999}', Code.INVALID_JSON, "the event is not JSON"),
        (b"12", Code.NOT_AN_OBJECT, "the element is the number 12; an event is an object"),
        (b"[" * 300 + b"]" * 300, Code.NOT_AN_OBJECT, "the element is an array"),
    ],
)
def test_a_line_that_is_no_event_is_rejected_by_itself(line: bytes, code: Code, words: str) -> None:
    good = json.dumps(EVENT).encode()
    (batch,) = lines(b"\n".join([good, line, good]))
    (reject,) = batch.rejects
    assert (reject.position, reject.code) == (2, code)
    assert words in reject.message
    assert reject.raw == shortened(line.decode(errors="backslashreplace"), 500)
    assert len(cells(batch)) == 2


def test_an_array_is_not_ndjson() -> None:
    with pytest.raises(InvalidJson, match="begins with \\[, as a JSON array does"):
        lines(b"[\n{}\n]")


def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ndjson, "MAX_LINE_BYTES", 1 << 20)
    monkeypatch.setattr(ndjson, "BLOCK_BYTES", 1 << 18)
    with pytest.raises(InvalidInput, match="A line is longer than 1 MiB"):
        lines(b"x" * (4 << 20))


SENT = {
    "messageId": "evt-7",
    "timestamp": T0,
    "userId": 7,
    "event": "login",
    "properties": {"plan": "pro"},
    "context": {"os": "linux"},
}
NAMES = {
    "event_id": "messageId",
    "occurred_at": "timestamp",
    "user_id": "userId",
    "event_type": "event",
}


def sent(options: ColumnOptions, **changes: Any) -> RawBatch:
    (batch,) = lines(json.dumps({**SENT, **changes}).encode(), options)
    return batch


def test_fields_with_other_names_are_mapped_and_the_rest_folded() -> None:
    batch = sent(ColumnOptions(NAMES, rest=True))
    assert cells(batch) == [("evt-7", T0, "7", "login", '{"context":{"os":"linux"},"plan":"pro"}')]


def test_what_properties_say_themselves_counts_more() -> None:
    batch = sent(ColumnOptions(NAMES, rest=True), context=1, properties={"context": 2})
    assert cells(batch)[0][4] == '{"context":2}'


def test_an_unknown_field_is_rejected_where_the_rest_is_not_wanted() -> None:
    (reject,) = sent(ColumnOptions(NAMES)).rejects
    assert (reject.code, reject.field) == (Code.UNKNOWN_FIELD, "context")


def test_why_a_row_was_rejected_is_no_field_of_an_event() -> None:
    event = {**EVENT, "rejected_because": {"code": "naive_timestamp"}}
    for options in (ColumnOptions(), ColumnOptions(rest=True), ColumnOptions(NAMES)):
        (batch,) = lines(json.dumps(event).encode(), options)
        assert cells(batch) == [(event_id(1), T0, "ann", "login", "{}")]


def test_without_ids_a_given_one_is_left_out() -> None:
    (batch,) = lines(json.dumps(EVENT).encode(), ColumnOptions(derive_ids=True))
    assert "event_id" not in batch.columns
    assert batch.rejects == ()


def test_an_id_may_be_an_integer_of_any_size() -> None:
    content = json.dumps({**EVENT, "event_id": 2**70}).encode()
    assert cells(lines(content)[0])[0][0] == str(2**70)
    (reject,) = lines(json.dumps({**EVENT, "event_id": 1.5}).encode())[0].rejects
    assert reject.message == "event_id is the number 1.5; it must be a string or an integer"
    assert reject.event_id != UUID(int=1)

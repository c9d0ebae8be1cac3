"""Arrow and Parquet: which types are read, how, and what is refused."""

from __future__ import annotations

import io
import re
import struct
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from analytics.calendar import zone
from analytics.errors import InvalidInput
from ingest.columns import ColumnOptions
from ingest.errors import ContentTooLarge
from ingest.rejects import Code, Reject, Unit
from ingest.rules import NO_RULES, Rules
from ingest.sources import tables
from ingest.sources.arrow_messages import blocks_of
from ingest.sources.compression import Capped
from ingest.sources.formats import announced_by_name, open_file, open_stream
from ingest.sources.source import NO_OPTIONS, SourceOptions
from ingest.validate import Checked, validate
from tests.format_matrix import as_arrow, as_parquet

AT = datetime(2025, 8, 1, 10, 15, tzinfo=UTC)
MICROS = 1_754_043_300_000_000
IDS = [uuid.UUID(int=number) for number in (1, 2)]
WRITERS = {"events.arrow": as_arrow, "events.parquet": as_parquet}


def table(**changes: Any) -> pa.Table:
    """Two events."""
    columns = {
        "event_id": pa.array([value.bytes for value in IDS], pa.binary(16)),
        "occurred_at": pa.array([AT, AT], pa.timestamp("us", "UTC")),
        "user_id": pa.array(["ann", "bob"]),
        "event_type": pa.array(["login", "login"]),
        "properties": pa.array(['{"n":1}', None]),
        **changes,
    }
    return pa.table({name: column for name, column in columns.items() if column is not None})


def check(
    given: pa.Table,
    name: str = "events.arrow",
    options: SourceOptions = NO_OPTIONS,
    rules: Rules = NO_RULES,
    max_rows: int = 100,
) -> list[Checked]:
    content = io.BytesIO(WRITERS[name](given))
    with open_stream(content, announced_by_name(name), options) as source:
        return [validate(batch, rules) for batch in source.batches(max_rows)]


def column(name: str, given: pa.Table, file: str, **more: Any) -> list[Any]:
    (checked,) = check(given, file, **more)
    assert checked.rejects == ()
    values: list[Any] = checked.events.column(name).to_pylist()
    return values


@pytest.mark.parametrize("file", WRITERS)
@pytest.mark.parametrize(
    "ids",
    [
        pa.array([value.bytes for value in IDS], pa.binary(16)),
        pa.array([value.bytes for value in IDS], pa.binary()),
        pa.array([value.bytes for value in IDS], pa.uuid()),
        pa.array(list(map(str, IDS))),
        pa.array([IDS[0].hex, IDS[1].urn], pa.large_string()),
        pa.array(list(map(str, IDS))).dictionary_encode(),
    ],
    ids=lambda ids: str(ids.type),
)
def test_an_id_is_sixteen_bytes_or_text(file: str, ids: pa.Array) -> None:
    assert column("event_id", table(event_id=ids), file) == [value.bytes for value in IDS]


def test_an_id_that_is_no_uuid_is_derived_within_the_project() -> None:
    rules = Rules(namespace=uuid.UUID(int=5))
    for ids in (pa.array([7, 8]), pa.array(["7", "8"])):
        assert column("event_id", table(event_id=ids), "events.arrow", rules=rules) == [
            uuid.uuid5(uuid.UUID(int=5), text).bytes for text in ("7", "8")
        ]


@pytest.mark.parametrize("file", WRITERS)
@pytest.mark.parametrize(
    ("kind", "value", "micros"),
    [
        (pa.timestamp("s", "UTC"), MICROS // 10**6, MICROS),
        (pa.timestamp("ms", "Europe/Kyiv"), MICROS // 10**3, MICROS),
        (pa.timestamp("us", "+02:00"), MICROS + 1, MICROS + 1),
        (pa.timestamp("ns", "UTC"), MICROS * 10**3 + 999, MICROS),
        (pa.timestamp("ns", "UTC"), -1, -1),
        (pa.timestamp("us"), MICROS, MICROS - 3 * 3_600 * 10**6),
        (pa.timestamp("ns"), MICROS * 10**3 + 1_999, MICROS - 3 * 3_600 * 10**6 + 1),
    ],
    ids=str,
)
def test_a_timestamp_of_any_unit_is_the_instant_cut_to_microseconds(
    file: str, kind: pa.DataType, value: int, micros: int
) -> None:
    given = table(occurred_at=pa.array([value, value], pa.int64()).cast(kind))
    found = column("occurred_at", given, file, rules=Rules(zone=zone("Europe/Kyiv")))
    assert [
        (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) for at in found
    ] == [micros] * 2


@pytest.mark.parametrize("file", WRITERS)
@pytest.mark.parametrize(
    ("users", "texts"),
    [
        (pa.array([1, -7], pa.int8()), ["1", "-7"]),
        (pa.array([2**64 - 1, 0], pa.uint64()), ["18446744073709551615", "0"]),
        (pa.array(["é", "b"], pa.large_string()), ["é", "b"]),
        (pa.array(["é", "b"], pa.string_view()), ["é", "b"]),
        (pa.array(["x", "x"]).dictionary_encode(), ["x", "x"]),
        (pa.array([5, 6]).dictionary_encode(), ["5", "6"]),
    ],
    ids=str,
)
def test_a_user_is_text_or_an_integer(file: str, users: pa.Array, texts: list[str]) -> None:
    assert column("user_id", table(user_id=users), file) == texts


@pytest.mark.parametrize("file", WRITERS)
@pytest.mark.parametrize(
    ("properties", "texts"),
    [
        (None, ["{}", "{}"]),
        (pa.array([' {"a": 1.50}', ""]), [' {"a": 1.50}', "{}"]),
        (pa.array(['{"a":1}', '{"a":1}']).dictionary_encode(), ['{"a":1}', '{"a":1}']),
        (pa.array(['{"a":1}', None], pa.json_()), ['{"a":1}', "{}"]),
        (pa.array([{"a": 1, "b": None}, None]), ['{"a":1}', "{}"]),
        (pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())), ['{"a":1}', "{}"]),
    ],
    ids=str,
)
def test_properties_are_json_a_struct_or_a_map(
    file: str, properties: pa.Array | None, texts: list[str]
) -> None:
    assert column("properties", table(properties=properties), file) == texts


@pytest.mark.parametrize("file", WRITERS)
def test_a_row_with_nulls_is_rejected_for_the_first_of_them(file: str) -> None:
    nulls = {
        "event_id": pa.array([None, IDS[1].bytes], pa.binary(16)),
        "occurred_at": pa.array([AT, None], pa.timestamp("ns", "UTC")),
        "user_id": pa.array([None, None], pa.string()),
    }
    (checked,) = check(table(**nulls), file)
    assert checked.rejects == (
        Reject(
            0,
            Unit.INDEX,
            Code.MISSING_FIELD,
            "event_id",
            "event_id is empty; every event has one",
            None,
            ',2025-08-01T10:15:00Z,,login,{"n":1}',
        ),
        Reject(
            1,
            Unit.INDEX,
            Code.MISSING_FIELD,
            "occurred_at",
            "occurred_at is empty; every event has one",
            IDS[1],
            f"{IDS[1]},,,login,",
        ),
    )
    assert checked.rejects[1].record == f'{{"event_id":"{IDS[1]}","event_type":"login"}}'


def test_values_that_are_wrong_reject_their_row() -> None:
    changes = {
        "event_id": pa.array([b"short", IDS[1].bytes], pa.binary()),
        "occurred_at": pa.array([AT, datetime(2025, 8, 1)], pa.timestamp("us")),
    }
    (checked,) = check(table(**changes))
    assert [(reject.code, reject.message) for reject in checked.rejects] == [
        (Code.INVALID_EVENT_ID, "event_id has 5 bytes; a UUID has 16"),
        (
            Code.NAIVE_TIMESTAMP,
            "occurred_at '2025-08-01T00:00:00' names no zone; add Z for UTC, or an offset like"
            " +02:00",
        ),
    ]


@pytest.mark.parametrize("file", WRITERS)
def test_what_is_not_a_number_in_a_struct_rejects_its_row(file: str) -> None:
    properties = pa.array([{"n": float("nan")}, {"n": float("inf")}])
    (checked,) = check(table(properties=properties), file)
    assert [reject.code for reject in checked.rejects] == [Code.INVALID_PROPERTIES] * 2


@pytest.mark.parametrize("file", WRITERS)
@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("event_id", pa.array([1.5, 2.5]), "event_id is double; event_id may be 16 bytes, text or"),
        ("event_id", pa.array([b"12345678"] * 2, pa.binary(8)), "event_id is fixed_size_binary[8]"),
        ("occurred_at", pa.array([MICROS] * 2), "occurred_at is int64; occurred_at may be a times"),
        ("user_id", pa.array([1.0, 2.0]), "user_id is double; user_id may be text or an integer"),
        ("user_id", pa.nulls(2), "user_id is null"),
        ("event_type", pa.array([1, 2]), "event_type is int64; event_type may be text"),
        ("properties", pa.array([["a"], ["b"]]), "properties may be JSON text, a struct, or a map"),
    ],
)
def test_a_column_of_another_type_is_refused_as_a_whole(
    file: str, name: str, values: pa.Array, words: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        check(table(**{name: values}), file)
    assert words in str(refused.value)
    assert refused.value.field == name


@pytest.mark.parametrize("file", WRITERS)
def test_other_columns_are_ignored_or_folded(file: str) -> None:
    given = table(price=pa.array([1.5, None]), tags=pa.array([["a"], []]))
    (checked,) = check(given, file, SourceOptions(ColumnOptions(rest=True)))
    assert checked.events["properties"].to_pylist() == [
        '{"price":1.5,"tags":["a"],"n":1}',
        '{"tags":[]}',
    ]
    content = io.BytesIO(WRITERS[file](given))
    with open_stream(content, announced_by_name(file)) as source:
        list(source.batches(10))
        assert source.ignored_columns == ("price", "tags")


@pytest.mark.parametrize("file", WRITERS)
def test_a_column_that_json_has_no_place_for_is_refused_when_folded(file: str) -> None:
    given = table(other=pa.array([[1, 2], [3, 4]], pa.list_(pa.int64(), 2)))
    with pytest.raises(InvalidInput, match="'other' is fixed_size_list"):
        check(given, file, SourceOptions(ColumnOptions(rest=True)))


@pytest.mark.parametrize("file", WRITERS)
@pytest.mark.parametrize("max_rows", [1, 7, 100, 1000])
def test_how_a_table_is_cut_changes_nothing(file: str, max_rows: int) -> None:
    count = 250
    given = pa.table(
        {
            "event_id": pa.array([str(number) for number in range(count)]),
            "occurred_at": pa.array([AT] * count, pa.timestamp("us", "UTC")),
            "user_id": pa.array(
                [f"user {number % 9}" for number in range(count)]
            ).dictionary_encode(),
            "event_type": pa.array(["x"] * count),
            "properties": pa.array([{"n": number} for number in range(count)]),
        }
    )
    batches = check(given, file, max_rows=max_rows)
    assert all(batch.rows <= max_rows for batch in batches)
    assert [reject.position for batch in batches for reject in batch.rejects] == list(range(count))
    assert [reject.raw[-20:] for batch in batches for reject in batch.rejects][-1].endswith("249}")


def test_a_value_that_many_rows_share_is_not_multiplied_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tables, "MAX_SLICE_BYTES", 100_000)
    text = '{"a":"' + "x" * 20_000 + '"}'
    shared = pa.DictionaryArray.from_arrays(pa.array([0] * 64, pa.int8()), pa.array([text]))
    views = pa.array([text] * 64, pa.string_view())
    for properties in (shared, views):
        given = pa.table(
            {
                "event_id": pa.array([str(number) for number in range(64)]),
                "occurred_at": pa.array([AT] * 64, pa.timestamp("us", "UTC")),
                "user_id": pa.array(["a"] * 64),
                "event_type": pa.array(["x"] * 64),
                "properties": properties,
            }
        )
        assert max(batch.rows for batch in check(given, max_rows=64)) <= 5


def test_a_file_that_polars_wrote_is_read(fixtures: Path) -> None:
    rules = Rules(namespace=uuid.UUID(int=1), zone=zone("UTC"))
    content = (fixtures / "data" / "polars.arrow").read_bytes()
    with open_stream(Capped(io.BytesIO(content), 10_000), announced_by_name("x.arrow")) as source:
        (checked,) = (validate(batch, rules) for batch in source.batches(10))
    assert [event["user_id"] for event in checked.events.to_pylist()] == [f"u{n}" for n in range(5)]
    assert checked.events["event_type"].to_pylist() == ["login"] * 5
    assert checked.events["properties"].to_pylist() == [f'{{"n":{n}}}' for n in range(5)]


def test_a_dictionary_of_views_is_read() -> None:
    users = pa.DictionaryArray.from_arrays(
        pa.array([1, 0], pa.uint32()), pa.array(["x", "y"], pa.string_view())
    )
    assert column("user_id", table(user_id=users), "events.arrow") == ["y", "x"]


def test_a_large_text_that_all_rows_of_a_parquet_file_share_is_decoded_a_few_at_a_time() -> None:
    text = '{"a":"' + "x" * 1_000_000 + '"}'
    count = 2_000
    shared = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int16()), pa.array([text]))
    given = pa.table(
        {
            "event_id": pa.array([str(number) for number in range(count)]),
            "occurred_at": pa.array([AT] * count, pa.timestamp("us", "UTC")),
            "user_id": pa.array(["a"] * count),
            "event_type": pa.array(["x"] * count),
            "properties": shared,
        }
    )
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(given, sink, store_schema=False)  # read as text, not as a dictionary
    content = io.BytesIO(sink.getvalue().to_pybytes())
    before, most, rows = pa.total_allocated_bytes(), 0, 0
    with open_stream(content, announced_by_name("x.parquet")) as source:
        for batch in source.batches(65_536):
            rows += batch.rows
            most = max(most, pa.total_allocated_bytes() - before)
    assert rows == count
    assert most < 100_000_000


@pytest.mark.parametrize("file", [True, False])
@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_a_record_batch_too_large_for_memory_is_refused_before_it_is_read(
    compression: str | None, file: bool
) -> None:
    given = table(properties=pa.array(['{"a":"' + "x" * 500_000 + '"}'] * 2))
    content = as_arrow(given, file=file, compression=compression)
    options = SourceOptions(max_batch_bytes=900_000)
    with (
        open_stream(io.BytesIO(content), announced_by_name("x.arrow"), options) as source,
        pytest.raises(
            ContentTooLarge, match=r"takes 1,0[\d,]+ bytes of memory; it may take 900,000"
        ),
    ):
        list(source.batches(10))


def test_a_parquet_file_that_holds_too_much_is_refused() -> None:
    content = as_parquet(table(properties=pa.array(['{"a":"' + "x" * 500_000 + '"}'] * 2)))
    assert len(content) < 100_000
    options = SourceOptions(max_content_bytes=100_000)
    with (
        open_stream(io.BytesIO(content), announced_by_name("x.parquet"), options) as source,
        pytest.raises(ContentTooLarge, match="bytes, decompressed; it may hold 100,000"),
    ):
        list(source.batches(10))


def test_arrows_offsets_that_lie_are_found_out() -> None:
    content = bytearray(as_arrow(table()))
    offsets = content.index(b"\x00\x00\x00\x00\x03\x00\x00\x00\x06\x00\x00\x00")
    content[offsets + 8 : offsets + 12] = (1 << 30).to_bytes(4, "little")
    with (
        open_stream(io.BytesIO(content), announced_by_name("x.arrow")) as source,
        pytest.raises(InvalidInput, match="The table can't be read: In column 2"),
    ):
        list(source.batches(10))


@pytest.mark.parametrize("file", WRITERS)
def test_text_that_is_not_utf8_is_refused(file: str) -> None:
    bad = pa.StringArray.from_buffers(
        2, pa.py_buffer(bytes([0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0])), pa.py_buffer(b"\xff\xfe")
    )
    with pytest.raises(InvalidInput, match=r"can't be read: .*Invalid UTF8"):
        check(table(user_id=bad), file)


@pytest.mark.parametrize("file", [True, False])
@pytest.mark.parametrize("kept", [1, 5, 100, 600, -20, -9])
def test_cut_off_arrow_is_refused(file: bool, kept: int) -> None:
    content = as_arrow(table(), file=file)[:kept]
    if not file and kept in {-9, -20}:
        content = content[:-1] + b"\xff"  # a stream needn't have its end-of-stream mark
        kept = 0
    with (
        open_stream(io.BytesIO(content), announced_by_name("x.arrow")) as source,
        pytest.raises(InvalidInput, match=r"The (Arrow data|input is not Arrow)"),
    ):
        list(source.batches(10))


def test_an_arrow_file_whose_footer_points_far_beyond_its_end_is_refused(tmp_path: Path) -> None:
    content = as_arrow(table(), file=True)
    (block,) = footer_blocks(content)
    path = tmp_path / "x.arrow"
    path.write_bytes(content.replace(block, (1 << 62).to_bytes(8, "little") + block[8:]))
    with open_file(path) as source, pytest.raises(InvalidInput, match="The Arrow data ends too"):
        list(source.batches(10))


def footer_blocks(content: bytes) -> list[bytes]:
    """The blocks of an Arrow file as they stand in its footer."""
    length = int.from_bytes(content[-10:-6], "little")
    blocks = blocks_of(content[-10 - length : -10])
    return [struct.pack("<qi4xq", *block) for block in blocks]


@pytest.mark.parametrize("kept", [0, 3, 8, 100, -20, -1])
def test_cut_off_parquet_is_refused(kept: int) -> None:
    content = as_parquet(table())[:kept]
    with (
        open_stream(io.BytesIO(content), announced_by_name("x.parquet")) as source,
        pytest.raises(InvalidInput, match="The Parquet data can't be read"),
    ):
        list(source.batches(10))


LEVELS = b"\x06\x19\x26\x00\x04"  # in a footer: no repetition levels; definition levels 0 and 2


@pytest.mark.parametrize(
    ("levels", "kind"),
    [(b"\x06\x19\x16\x80\x04", "Definition"), (b"\x26\x00\x04\x19\x06", "Repetition")],
)
def test_a_parquet_footer_that_counts_levels_wrongly_is_refused(levels: bytes, kind: str) -> None:
    """To ask pyarrow for such a column's metadata would end this process, by SIGABRT."""
    content = as_parquet(table())
    assert content.count(LEVELS) == 4  # one for each column that has no null
    with (
        open_stream(
            io.BytesIO(content.replace(LEVELS, levels)), announced_by_name("x.parquet")
        ) as source,
        pytest.raises(InvalidInput, match=f"{kind} level histogram size mismatch"),
    ):
        list(source.batches(10))


def test_a_parquet_row_group_of_negative_size_is_refused() -> None:
    content = as_parquet(table())
    size = pa.parquet.read_metadata(io.BytesIO(content)).row_group(0).total_byte_size
    group = b"\x16%b\x16\x04" % _zigzag(size)  # its size, and its two rows
    assert content.count(group) == 1
    damaged = content.replace(group, b"\x16%b\x16\x04" % _zigzag(-size))
    with (
        open_stream(io.BytesIO(damaged), announced_by_name("x.parquet")) as source,
        pytest.raises(InvalidInput, match="The Parquet data is damaged; make the file anew"),
    ):
        list(source.batches(10))


def _zigzag(number: int) -> bytes:
    """A number of less than 8,192 either way, as Thrift has it, in two bytes."""
    code = 2 * number if number >= 0 else -2 * number - 1
    return bytes([code & 0x7F | 0x80, code >> 7])


def test_a_page_that_says_it_is_large_takes_no_more_memory_than_there_is_of_it() -> None:
    content = as_parquet(table(), compression="none", write_page_checksum=True)
    head = rb"(\x15\x00\x15.)\x15.\x15[\x80-\xff]{4}[\x01-\x0f]"  # kind, sizes, checksum
    lie = b"\x15\xfe\xff\xff\xff\x0f\x15\x00"
    huge = re.sub(head, lambda found: found[1] + lie, content, flags=re.DOTALL)
    assert huge != content
    before = pa.default_memory_pool().max_memory()
    with (
        open_stream(io.BytesIO(huge), announced_by_name("x.parquet")) as source,
        pytest.raises(InvalidInput, match="The Parquet data is damaged; make the file anew"),
    ):
        list(source.batches(10))
    assert pa.default_memory_pool().max_memory() - before < 100_000_000


NAMED = pa.timestamp("us", "Asia/Tokyo")


@pytest.mark.parametrize(
    "changes",
    [
        {"occurred_at": pa.array([AT, AT], NAMED)},
        {"properties": pa.array([{"at": [AT]}] * 2, pa.struct({"at": pa.list_(NAMED)}))},
        {"properties": None, "at": pa.array([AT, AT], NAMED)},
    ],
)
def test_a_time_zone_whose_name_is_not_utf8_is_refused(changes: dict[str, Any]) -> None:
    content = as_arrow(table(**changes)).replace(b"Asia/Tokyo", b"\xffsia/Tokyo")
    options = SourceOptions(ColumnOptions(rest="at" in changes))
    with (
        open_stream(io.BytesIO(content), announced_by_name("x.arrow"), options) as source,
        pytest.raises(InvalidInput, match="The table's schema can't be read: 'utf-8' codec"),
    ):
        list(source.batches(10))


def test_a_type_with_a_line_break_is_told_in_one_line() -> None:
    with pytest.raises(InvalidInput) as refused:
        check(table(user_id=pa.array([{"a\nb": 1}] * 2)))
    assert r"The column user_id is struct<a\nb: int64>; user_id may be" in str(refused.value)

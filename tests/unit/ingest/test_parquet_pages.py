"""A Parquet file whose pages would unfold to more than memory holds is refused before they do."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from analytics.errors import InvalidInput
from ingest.errors import ContentTooLarge
from ingest.sources.compression import CountedFile
from ingest.sources.formats import announced_by_name, open_stream
from ingest.sources.parquet_pages import PageLimit
from ingest.sources.source import SourceOptions
from ingest.sources.thrift import I32, I64, EndsEarly, ThriftReader
from tests.format_matrix import EVENTS, as_parquet, as_table

LARGE = 4 << 20
PLAIN = as_table(EVENTS[:100])


def read(content: bytes, max_bytes: int) -> int:
    options = SourceOptions(max_batch_bytes=max_bytes)
    with open_stream(io.BytesIO(content), announced_by_name("x.parquet"), options) as source:
        return sum(batch.rows for batch in source.batches(50))


@contextmanager
def counted_memory() -> Iterator[pa.MemoryPool]:
    """Arrow's memory within the block, counted by itself."""
    before = pa.default_memory_pool()
    counted = pa.proxy_memory_pool(before)
    pa.set_memory_pool(counted)
    try:
        yield counted
    finally:
        pa.set_memory_pool(before)


def with_large_text(column: str) -> pa.Table:
    """The events with a text in front that compresses to next to nothing."""
    first = PLAIN.slice(0, 1).to_pydict()
    first[column] = ['{"a":"' + "x" * LARGE + '"}']
    return pa.concat_tables([pa.table(first, schema=PLAIN.schema), PLAIN])


@pytest.mark.parametrize("compression", ["snappy", "gzip", "zstd", "lz4", "brotli"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_pages_that_unfold_to_too_much_are_not_unfolded(
    compression: str, version: str, dictionary: bool
) -> None:
    content = as_parquet(
        with_large_text("properties"),
        compression=compression,
        data_page_version=version,
        use_dictionary=dictionary,
        write_statistics=False,
    )
    with (
        counted_memory() as memory,
        pytest.raises(ContentTooLarge, match=r"takes at least [\d,]+ bytes of memory at once"),
    ):
        read(content, LARGE)
    assert memory.max_memory() < LARGE
    assert read(content, 4 * LARGE) == 101


def test_a_part_of_a_struct_counts_as_well() -> None:
    properties = [{"a": {"b": "x" * LARGE}}] + [None] * (len(PLAIN) - 1)
    table = PLAIN.set_column(4, "properties", pa.array(properties))
    with pytest.raises(ContentTooLarge, match="bytes of memory at once"):
        read(as_parquet(table), LARGE)


def test_a_column_that_is_not_read_may_be_of_any_size() -> None:
    texts = pa.array(["x" * LARGE] + [""] * (len(PLAIN) - 1))
    assert read(as_parquet(PLAIN.append_column("raw", texts)), 1 << 20) == len(PLAIN)


def test_lengths_of_texts_count_though_no_bit_of_them_is_there() -> None:
    table = PLAIN.set_column(3, "event_type", pa.array(["a"] * len(PLAIN)))
    options = {"use_dictionary": False, "write_statistics": False}
    plain = as_parquet(table, **options)
    delta = as_parquet(table, column_encoding={"event_type": "DELTA_LENGTH_BYTE_ARRAY"}, **options)
    most = max(size for size in range(2_000, 20_000, 100) if not fits(plain, size)) + 100
    assert fits(plain, most)
    assert not fits(delta, most)
    assert fits(delta, most + 8 * len(PLAIN))


def fits(content: bytes, max_bytes: int) -> bool:
    try:
        return read(content, max_bytes) == len(PLAIN)
    except ContentTooLarge:
        return False


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_dictionary": False, "compression": "none"},
        {"data_page_size": 200, "write_page_index": True, "write_page_checksum": True},
        {"data_page_version": "2.0", "compression": "zstd", "sorting_columns": None},
    ],
)
def test_the_footer_says_where_pages_are_what_it_says_to_arrow(options: dict[str, Any]) -> None:
    content = as_parquet(PLAIN, **options)
    limit = PageLimit(CountedFile(io.BytesIO(content)), 1 << 20)
    told = pa.parquet.read_metadata(io.BytesIO(content))
    columns = [told.row_group(0).column(number) for number in range(told.num_columns)]
    starts = [
        column.dictionary_page_offset if column.has_dictionary_page else column.data_page_offset
        for column in columns
    ]
    sizes = [column.total_compressed_size for column in columns]
    ends = [start + size for start, size in zip(starts, sizes, strict=True)]
    assert limit.chunks(0) == list(zip(starts, ends, strict=True))
    limit.check(0, range(told.num_columns))


WANTED = {1: I32, 2: {1: I64}, 3: [{1: I32}]}
SKIPPED = (
    b"\x41\x12\x13\x07"  # true, false, a byte
    b"\x17" + bytes(8) + b"\x18\x02ab"  # a double, a text
    b"\x19\x22\x01\x00\x1a\x15\x04"  # a list of booleans, a set of a number
    b"\x19\xfc\x01\x00\x1c\x16\x02\x00\x00"  # a list of one empty struct, a struct
)


def test_what_is_not_wanted_is_passed_over() -> None:
    data = b"\x15\x03\x1c\x16\x80\x01\x00\x19\x2c\x15\x02\x00\x00" + SKIPPED + b"rest"
    reader = ThriftReader(data)
    assert reader.struct(WANTED) == {1: -2, 2: {1: 64}, 3: [{1: 1}, {}]}
    assert data[reader.at :] == b"rest"


def test_every_beginning_of_a_struct_ends_early() -> None:
    data = b"\x15\x03\x1c\x16\x80\x01\x00\x19\x2c\x15\x02\x00\x00" + SKIPPED
    for size in range(len(data)):
        with pytest.raises(EndsEarly):
            ThriftReader(data[:size]).struct(WANTED)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x15\x02\x05\x02\x04\x00", id="a field twice"),
        pytest.param(b"\x16\x02\x00", id="a long number where a short one belongs"),
        pytest.param(b"\x15\x80\x80\x80\x80\x10\x00", id="more than 32 bits"),
        pytest.param(b"\x15" + b"\xff" * 10 + b"\x01\x00", id="more than 64 bits"),
        pytest.param(b"\x05\x82\x80\x08\x02\x00", id="a field number of more than 16 bits"),
        pytest.param(b"\x05\x01\x02\x00", id="a negative field"),
        pytest.param(b"\x1b\x00\x00", id="a map"),
        pytest.param(b"\x29\x1c\x00\x00", id="a list where a struct belongs"),
        pytest.param(b"\x3c\x00\x00", id="a struct where a list belongs"),
        pytest.param(b"\x4c" + b"\x1c" * 100 + b"\x00" * 101, id="too deep"),
    ],
)
def test_damage_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput, match="The Parquet data is damaged"):
        ThriftReader(data).struct(WANTED)

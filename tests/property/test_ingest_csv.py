"""Whatever the bytes of a file, its rows are counted and told apart, or it is refused."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.errors import InvalidInput
from ingest.columns import select_columns
from ingest.sources.compression import Gunzip
from ingest.sources.csv import CsvSource, read_cells
from ingest.sources.jsons import read_json
from ingest.sources.records import IrregularBlock, Records, RegularBlock, as_irregular
from ingest.sources.source import RawBatch
from ingest.validate import validate
from tests.unit.ingest.rows import HEADER, LINE, cells, csv_file, event_id, read, row

EXAMPLES = settings(max_examples=200)

noise = st.text('",\n\r ax\x00é', max_size=40)
broken_lines = st.lists(
    st.one_of(
        noise,
        st.sampled_from([",".join(row(1)), ",".join(HEADER), "", "a,b,c,d,e", 'a,b,"c""",d,e']),
        st.lists(st.sampled_from(['"a"', "a", '""', '"', '"x\ny"', 'a"', ""]), max_size=6).map(
            ",".join
        ),
    ),
    max_size=12,
).map("\n".join)
texts = st.lists(
    st.lists(st.text('",\n\r aé', max_size=6), min_size=5, max_size=5), min_size=1, max_size=12
)
sizes = st.lists(st.integers(1, 30), max_size=10)


class InPieces(io.BytesIO):
    """Gives a few bytes at a time at first, as sockets do."""

    def __init__(self, content: bytes, pieces: Sequence[int]) -> None:
        super().__init__(content)
        self._pieces = list(pieces)

    def read(self, size: int | None = -1) -> bytes:
        wanted = size or 0
        return super().read(min(wanted, self._pieces.pop()) if self._pieces else wanted)


def everything(batches: Sequence[RawBatch]) -> tuple[list[object], list[object]]:
    """Rows with their places, and rejects."""
    rows = [
        (place, texts)
        for batch in batches
        for place, texts in zip(
            batch.locate(range(len(batch.columns["event_id"]))), cells(batch), strict=True
        )
    ]
    return rows, [reject for batch in batches for reject in batch.rejects]


@EXAMPLES
@given(st.one_of(st.binary(max_size=200), broken_lines.map(str.encode)), st.booleans())
def test_any_bytes_are_rows_or_rejects_or_refused(content: bytes, headed: bool) -> None:
    try:
        batches = read(LINE.encode() * headed + content)
    except InvalidInput:
        return
    for batch in batches:
        checked = validate(batch)
        assert len(checked.events) + len(checked.rejects) == checked.rows == batch.rows
        assert all("\n" not in str(reject) for reject in checked.rejects)


@EXAMPLES
@given(broken_lines, sizes, st.integers(1, 5))
def test_how_a_file_is_cut_changes_nothing(text: str, pieces: list[int], max_rows: int) -> None:
    content = (LINE + text).encode()
    try:
        whole = everything(read(content))
    except InvalidInput:
        return
    parts = list(CsvSource(InPieces(content, pieces)).batches(max_rows))
    assert everything(parts) == whole
    assert all(batch.rows <= max_rows for batch in parts)


@EXAMPLES
@given(broken_lines)
def test_arrow_and_python_read_the_same_cells(text: str) -> None:
    selection = select_columns(HEADER)
    reader = Records(io.BytesIO((LINE + text).encode()), 100)
    reader.header()
    for block in reader.blocks():
        if isinstance(block, IrregularBlock):
            continue
        assert isinstance(block, RegularBlock)
        by_arrow, by_python = (read_cells(b, selection) for b in (block, as_irregular(block)))
        assert by_arrow.columns == by_python.columns
        assert by_arrow.faults == by_python.faults
        assert [by_arrow.starts.tolist(), by_arrow.ends.tolist(), by_arrow.rows.tolist()] == [
            by_python.starts.tolist(),
            by_python.ends.tolist(),
            by_python.rows.tolist(),
        ]


@EXAMPLES
@given(texts, st.sampled_from([("\n", csv.QUOTE_ALL), ("\r\n", csv.QUOTE_MINIMAL)]))
def test_what_pythons_writer_wrote_is_read_back(
    rows: list[list[str]], dialect: tuple[str, Literal[0, 1]]
) -> None:
    rows = [[event_id(number), *cells[1:]] for number, cells in enumerate(rows)]
    end, quoting = dialect
    file = io.StringIO()
    csv.writer(file, lineterminator=end, quoting=quoting).writerows([HEADER, *rows])
    content = file.getvalue().encode()
    batches = read(content)
    assert [row for batch in batches for row in cells(batch)] == [tuple(row) for row in rows]
    lines, _ = everything(batches)
    before = [content[: content.index(cells[0].encode())] for cells in rows]
    assert [place.position for place, _ in lines] == [text.count(b"\n") + 1 for text in before]


@EXAMPLES
@given(st.one_of(st.binary(max_size=60), st.text('[]{}":,0.eE-a \\u', max_size=60).map(str.encode)))
def test_any_bytes_as_json_are_rows_or_refused(content: bytes) -> None:
    try:
        batch = read_json(content)
    except InvalidInput:
        return
    checked = validate(batch)
    assert len(checked.events) + len(checked.rejects) == checked.rows


@EXAMPLES
@given(st.binary(max_size=60), st.integers(0, 60), st.integers(1, 40))
def test_any_bytes_as_gzip_are_content_or_refused(noise: bytes, place: int, size: int) -> None:
    packed = gzip.compress(csv_file([row(1)]))
    stream = Gunzip(io.BytesIO(packed[:place] + noise + packed[place + len(noise) // 2 :]))
    with suppress(InvalidInput):
        while chunk := stream.read(size):
            assert len(chunk) <= size

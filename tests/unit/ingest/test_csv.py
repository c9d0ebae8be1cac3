"""CSV: every shape a file may have, and what becomes of the rows that can't be read."""

from __future__ import annotations

import io
from collections.abc import Sequence
from uuid import UUID

import pytest

from analytics.errors import InvalidInput
from ingest.rejects import Code, Reject, Unit
from ingest.sources import records
from ingest.sources.cells import broken_quoting
from ingest.sources.csv import CsvSource
from ingest.sources.records import IrregularBlock, Records
from tests.unit.ingest.rows import HEADER, LINE, T0, cells, csv_file, event_id, read, row

BROKEN = broken_quoting().message
ROW = ",".join([event_id(1), T0, "ann", "login", "{}"])


def texts(content: bytes, max_rows: int = 65_536) -> list[tuple[str, ...]]:
    return [row for batch in read(content, max_rows) for row in cells(batch)]


def lines(content: bytes, max_rows: int = 65_536) -> list[int]:
    """The line of each row that was read."""
    batches = read(content, max_rows)
    return [
        place.position
        for batch in batches
        for place in batch.locate(range(len(batch.columns["event_id"])))
    ]


def rejected(content: bytes) -> list[tuple[int, Code, str | None, str]]:
    found = [reject for batch in read(content) for reject in batch.rejects]
    return [(reject.position, reject.code, reject.field, reject.message) for reject in found]


def is_regular(content: bytes) -> bool:
    """Whether pyarrow read it, not Python."""
    reader = Records(io.BytesIO(content), 65_536)
    reader.header()
    return not any(isinstance(block, IrregularBlock) for block in reader.blocks())


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["", "\n", "\n\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_byte_order_mark_change_nothing(end: str, last: str, mark: str) -> None:
    content = (mark + LINE + ROW + last).replace("\n", end).encode()
    assert texts(content) == [tuple(ROW.split(","))]
    assert lines(content) == [2]
    assert is_regular(content)


@pytest.mark.parametrize(
    ("quoted", "text"),
    [
        ('"ann"', "ann"),
        ('"a,b"', "a,b"),
        ('"say ""hi"""', 'say "hi"'),
        ('""""', '"'),
        ('"a\nb"', "a\nb"),
        ('"a\r\nb\rc"', "a\r\nb\rc"),
        ('""', ""),
        ("", ""),
        (" ann ", " ann "),
        ("NULL", "NULL"),
        ("12", "12"),
        ("\u00e9\U0001f600", "\u00e9\U0001f600"),
    ],
)
def test_cells_are_text_as_rfc_4180_has_it(quoted: str, text: str) -> None:
    content = (LINE + f"{event_id(1)},{T0},{quoted},login,\n").encode()
    assert texts(content) == [(event_id(1), T0, text, "login", "")]
    assert is_regular(content)


@pytest.mark.parametrize("cell", ['5" nail', '{"a":1}', 'a""b', 'a"'])
def test_quotes_inside_a_cell_without_quotes_are_ordinary(cell: str) -> None:
    content = (LINE + f"{event_id(1)},{T0},{cell},login,\n{ROW}\n").encode()
    assert texts(content) == [(event_id(1), T0, cell, "login", ""), tuple(ROW.split(","))]
    assert lines(content) == [2, 3]


def test_columns_come_in_any_order_and_others_are_ignored_and_named() -> None:
    header = ("country", "user_id", "event_type", "event_id", "occurred_at", "country")
    content = csv_file([("at", "ann", "login", event_id(1), T0, "de")], header)
    source = CsvSource(io.BytesIO(content))
    (batch,) = source.batches(10)
    assert cells(batch) == [(event_id(1), T0, "ann", "login")]
    assert source.ignored_columns == ("country", "country")


def test_position_is_the_line_a_row_begins_on() -> None:
    rows = [row(1), row(2, user_id="a\nb\nc"), row(3), row(4, event_type="x\r\ny"), row(5)]
    content = csv_file(rows).replace(event_id(3).encode(), b"\n\n" + event_id(3).encode())
    assert lines(content) == [2, 3, 8, 9, 11]
    assert lines(content, max_rows=1) == [2, 3, 8, 9, 11]
    assert lines(content + b'x"y,"z"z\n') == [2, 3, 8, 9, 11]


def test_batches_are_no_larger_than_asked_for_and_count_all_bytes() -> None:
    content = csv_file([row(number) for number in range(10)])
    batches = read(content, max_rows=3)
    assert [batch.rows for batch in batches] == [3, 3, 3, 1]
    assert sum(batch.bytes_read for batch in batches) == len(content)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (event_id(2), "1 cell"),
        (f"{event_id(2)},{T0},ann,login", "4 cells"),
        (f"{event_id(2)},{T0},ann,login,{{}},", "6 cells"),
    ],
)
@pytest.mark.parametrize("neighbour", [ROW, ROW.replace("ann", 'a"n')])
def test_a_row_with_another_number_of_cells_is_rejected_alone(
    line: str, found: str, neighbour: str
) -> None:
    content = f"{LINE}{neighbour}\n{line}\n\n{neighbour}\n".encode()
    (batch,) = read(content)
    message = f"the row has {found}, the header has 5 cells"
    assert batch.rejects == (
        Reject(3, Unit.LINE, Code.WRONG_CELL_COUNT, None, message, UUID(int=2), line),
    )
    assert len(cells(batch)) == 2
    assert lines(content) == [2, 5]


@pytest.mark.parametrize(
    "broken",
    [
        f'{event_id(2)},{T0},"ann"x,login,{{}}',
        f'{event_id(2)},{T0},"ann,login,{{}}',
        f'{event_id(2)},{T0},ann,login,"{{""a"":1}}"}}',
        f"{event_id(2)},{T0},a\rn,login,{{}}",
        f'"{event_id(2)}" ,{T0},ann,login,{{}}',
    ],
)
@pytest.mark.parametrize("quoted", [ROW, ROW.replace("ann", '"ann"')])
def test_broken_quoting_costs_one_line(broken: str, quoted: str) -> None:
    content = f"{LINE}{quoted}\n{broken}\n{quoted}\n{quoted}".encode()
    rejects = [reject for batch in read(content) for reject in batch.rejects]
    assert rejects == [Reject(3, Unit.LINE, Code.BROKEN_QUOTING, None, BROKEN, None, broken)]
    assert texts(content) == [tuple(ROW.split(","))] * 3
    assert lines(content) == [2, 4, 5]


def test_bytes_that_are_not_utf8_reject_their_row_alone() -> None:
    good, bad = ROW.encode(), ROW.replace("ann", "Andr\xe9").encode("latin-1")
    (batch,) = read(b"\n".join([LINE.strip().encode(), good, bad, good]))
    message = "user_id is not UTF-8 text, near 'Andr\\xe9'; save the file as UTF-8"
    raw = ROW.replace("ann", "Andr\\xe9")
    assert batch.rejects == (
        Reject(3, Unit.LINE, Code.INVALID_UTF8, "user_id", message, UUID(int=1), raw),
    )
    assert len(cells(batch)) == 2


def test_bytes_in_an_ignored_column_may_be_anything() -> None:
    header = ",".join([*HEADER, "note"]).encode()
    assert texts(header + f"\n{ROW},".encode() + b"\xff\x00\n") == [tuple(ROW.split(","))]


def test_a_header_among_the_rows_is_rejected() -> None:
    content = csv_file([row(1), HEADER, row(2)])
    message = "the line is the header once more"
    assert rejected(content) == [(3, Code.REPEATED_HEADER, None, message)]
    assert len(texts(content)) == 2


def test_a_header_in_another_order_among_the_rows_stops_the_reading() -> None:
    content = csv_file([row(1), HEADER[::-1], row(2)[::-1]])
    with pytest.raises(
        InvalidInput, match=r"^Line 3 is a header with the columns in another order"
    ):
        read(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "The file is empty; a file of events begins with a header that names its columns"),
        (b"\xef\xbb\xbf\n\r\n\n", "The file is empty; a file of events begins with a header"),
        (ROW.encode(), "The header lacks event_id, occurred_at, user_id, event_type (it has 0000"),
        (
            b"event_id,user_id,properties\n",
            "The header lacks occurred_at, event_type (it has event_id, user_id, properties); a"
            " file of events has the columns event_id, occurred_at, user_id, event_type"
            " and, if you like, properties",
        ),
        (
            b"event_id;occurred_at;user_id;event_type\n",
            "The header 'event_id;occurred_at;user_id;event_type' has semicolons between its"
            " cells; Tidemark reads comma-separated values: export the file with commas",
        ),
        (b",".join([b"x"] * 20), "(it has x, x, x, x, x, x, x, x, x, x, x, x and 8 more)"),
        (
            b"event_id,event_id,occurred_at,user_id,event_type\n",
            "The header names event_id more than once; leave one of the two out",
        ),
        (b"\x1f\x8b\x08\x00", "The file is gzip data; give it a name that ends in .gz"),
        ("event_id".encode("utf-16"), "The file is UTF-16; save it as UTF-8"),
        (b"event_id,\xff\n", "The header is not UTF-8 text; save the file as UTF-8"),
        (b'"event_id,occurred_at\n', "Line 1, the header, has a quote that isn't closed"),
        (b"event_id\roccurred_at\r", "The lines end with a carriage return alone; save the file"),
    ],
)
def test_a_file_without_a_proper_header_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(content)
    assert message in str(refused.value)


def test_a_file_with_a_header_alone_has_no_rows() -> None:
    assert read(LINE.encode()) == []
    assert read(LINE.strip().encode()) == []


def test_a_cell_of_ten_megabytes_is_read_whole() -> None:
    big = "x" * 10_000_000
    assert texts(csv_file([row(1), row(2, user_id=big), row(3)]))[1][2] == big
    big = "a\n" * 5_000_000
    assert texts(csv_file([row(1), row(2, user_id=big), row(3)]))[1][2] == big


def test_a_quote_that_is_never_closed_in_a_long_file_costs_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(records, "MAX_RECORD_BYTES", 300_000)
    content = f"{LINE}{ROW}\n".encode() + f'{event_id(2)},{T0},"ann,x,\n'.encode()
    content += f"{ROW}\n".encode() * 10_000
    assert rejected(content) == [(3, Code.BROKEN_QUOTING, None, BROKEN)]
    assert len(texts(content)) == 10_001


def test_a_line_without_an_end_stops_the_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_RECORD_BYTES", 1 << 20)
    content = f"{LINE}{ROW}\n".encode() + b"x" * (3 << 20)
    with pytest.raises(InvalidInput, match=r"^Line 3 is longer than 1 MiB"):
        read(content, max_rows=1000)


class InPieces(io.BytesIO):
    """Gives a few bytes at a time, as sockets do."""

    def __init__(self, content: bytes, sizes: Sequence[int]) -> None:
        super().__init__(content)
        self._sizes = list(sizes)

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 0, self._sizes.pop(0) if self._sizes else 7))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_how_the_bytes_arrive_changes_nothing(size: int) -> None:
    rows = [row(1, user_id='a "b",\r\nc'), row(2), row(3, user_id='""'), row(4)]
    content = b"\xef\xbb\xbf" + csv_file(rows).replace(b"ann", b'5" nail')
    pieces = InPieces(content, [size] * len(content))
    (batch,) = CsvSource(pieces).batches(100)
    assert cells(batch) == cells(read(content)[0])
    assert len(cells(batch)) == 4

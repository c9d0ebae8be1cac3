"""Rows and files of events for the tests of ingest."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from uuid import UUID

from ingest.encode import default_encoder, encode_python
from ingest.sources.csv import CsvSource
from ingest.sources.source import RawBatch
from ingest.validate import Checked, validate

HEADER = ("event_id", "occurred_at", "user_id", "event_type", "properties")
LINE = ",".join(HEADER) + "\n"
ENCODERS = list(dict.fromkeys([encode_python, default_encoder()]))  # pgpq may have no wheel
T0 = "2025-08-01T10:15:00Z"


def event_id(number: int) -> str:
    return str(UUID(int=number))


def row(number: int = 1, **changes: str) -> list[str]:
    """A good row with an id of its own."""
    cells = {
        "event_id": event_id(number),
        "occurred_at": T0,
        "user_id": "ann",
        "event_type": "login",
        "properties": '{"plan":"pro"}',
    }
    return list({**cells, **changes}.values())


def csv_file(rows: Iterable[Sequence[str]], header: Sequence[str] = HEADER) -> bytes:
    rows = [header, *rows]
    # Python before 3.13 leaves a \r without quotes where lines end with \n.
    unquoted = any("\r" in cell and not {*cell} & {*'\n",'} for cells in rows for cell in cells)
    quoting = csv.QUOTE_ALL if unquoted else csv.QUOTE_MINIMAL
    file = io.StringIO()
    csv.writer(file, lineterminator="\n", quoting=quoting).writerows(rows)
    return file.getvalue().encode()


def read(content: bytes, max_rows: int = 65_536) -> list[RawBatch]:
    return list(CsvSource(io.BytesIO(content)).batches(max_rows))


def check(content: bytes, max_rows: int = 65_536) -> list[Checked]:
    return [validate(batch) for batch in read(content, max_rows)]


def cells(batch: RawBatch) -> list[tuple[str, ...]]:
    """The raw columns, turned into rows."""
    return list(zip(*(column.to_pylist() for column in batch.columns.values()), strict=True))

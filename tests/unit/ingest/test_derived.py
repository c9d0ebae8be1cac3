"""Ids made from rows: the same for the same file, and one for each row of it."""

from __future__ import annotations

import uuid

import pyarrow as pa
import pytest

from ingest.derived import ROWS, RowIds
from ingest.texts import as_texts

ROW = ("2025-08-01T10:15:00Z", "ann", "login", '{"n":1}')
OTHER = ("2025-08-01T10:15:00Z", "bob", "login", '{"n":1}')
NAMES = ("occurred_at", "user_id", "event_type", "properties")


def columns(*rows: tuple[str, ...]) -> dict[str, pa.Array]:
    return {name: pa.array(v) for name, v in zip(NAMES, zip(*rows, strict=True), strict=True)}


def made(ids: RowIds, *rows: tuple[str, ...]) -> list[uuid.UUID]:
    return [uuid.UUID(bytes=value) for value in ids.of(columns(*rows)).to_pylist()]


def test_an_id_is_uuid5_of_the_rows_texts_and_of_its_ordinal_among_equal_rows() -> None:
    content = "\0".join(ROW)
    assert uuid.uuid5(uuid.NAMESPACE_URL, "urn:tidemark:row") == ROWS
    assert made(RowIds(), ROW, ROW, OTHER, ROW) == [
        uuid.uuid5(ROWS, content),
        uuid.uuid5(ROWS, f"{content}\0001"),
        uuid.uuid5(ROWS, "\0".join(OTHER)),
        uuid.uuid5(ROWS, f"{content}\0002"),
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_how_a_file_is_cut_into_batches_changes_no_id(size: int) -> None:
    rows = [(*ROW[:1], f"user {number * 7 % 5}", *ROW[2:]) for number in range(100)]
    whole, parts = RowIds(), RowIds()
    cut = [
        value for start in range(0, 100, size) for value in made(parts, *rows[start : start + size])
    ]
    assert cut == made(whole, *rows)
    assert len(set(cut)) == 100


def test_typed_values_are_told_apart_to_the_last_digit() -> None:
    times = pa.array([1, 2, None], pa.timestamp("ns"))
    assert as_texts(times).to_pylist() == ["1", "2", ""]
    ids = RowIds().of({"occurred_at": times, "user_id": pa.array(["a"] * 3)}).to_pylist()
    assert len(set(ids)) == 3

"""Damaged files of every format: rows, rejects or a refusal, never a crash and never a hang.

Valid files are damaged the way files are: bytes flipped, lengths changed, pieces cut out, doubled
or overwritten with what decoders stumble over. A crash of Arrow would take the test's process with
it.
"""

from __future__ import annotations

import io
import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.errors import InvalidInput
from ingest.columns import ColumnOptions
from ingest.sources.formats import announced_by_name, open_stream
from ingest.sources.jsons import JsonSource, read_json
from ingest.sources.source import SourceOptions
from ingest.validate import validate
from tests.format_matrix import EVENTS, MATRIX, Case, as_arrow, as_parquet, as_table
from tests.unit.ingest.rows import cells

EXAMPLES = settings(max_examples=60, suppress_health_check=[HealthCheck.data_too_large])
FEW = EVENTS[:40]
MAPS = [[(key, str(value)) for key, value in event["properties"].items()] for event in FEW]


def seeds() -> dict[str, tuple[str, bytes]]:
    """Names for files of all kinds that a writer makes: a name that says the format, and bytes."""
    plain = as_table(FEW)
    structs = plain.set_column(4, "properties", pa.array([e["properties"] or None for e in FEW]))
    maps = plain.set_column(4, "properties", pa.array(MAPS, pa.map_(pa.string(), pa.string())))
    views = plain.set_column(2, "user_id", plain["user_id"].cast(pa.string_view()))
    found = {str(case): (case.name, case.of(FEW)) for case in MATRIX}
    for name, table in {"structs": structs, "maps": maps, "views": views}.items():
        found[f"{name}.arrow"] = "x.arrow", as_arrow(table, compression="zstd")
        found[f"{name}.feather"] = "x.arrow", as_arrow(table, file=True)
        found[f"{name}.parquet"] = "x.parquet", as_parquet(table, compression="none")
    found["deltas"] = "x.arrow", as_arrow(plain, emit_dictionary_deltas=True)
    found["pages"] = "x.parquet", as_parquet(plain, data_page_size=100, data_page_version="2.0")
    found["plain pages"] = "x.parquet", as_parquet(plain, use_dictionary=False, compression="gzip")
    return found


SEEDS = seeds()
TRIPS = [
    b"\xff\xff\xff\x7f",
    b"\xff" * 8,
    bytes(8),
    (1 << 40).to_bytes(8, "little"),
    b"\x80\x80",
    b'"',
    b"\n",
    b"{",
    b"]",
]
blows = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True),
        st.one_of(
            st.sampled_from(TRIPS).map(lambda new: ("write", new)),
            st.binary(min_size=1, max_size=8).map(lambda new: ("write", new)),
            st.integers(-9, 9).map(lambda step: ("add", step)),
            st.integers(1, 64).map(lambda size: ("drop", size)),
            st.integers(1, 64).map(lambda size: ("double", size)),
            st.just(("end", 0)),
        ),
    ),
    min_size=1,
    max_size=5,
)


def damaged(content: bytes, hits: list[tuple[float, tuple[str, Any]]]) -> bytes:
    result = bytearray(content)
    for share, (how, what) in hits:
        place = int(share * len(result))
        if how == "write":
            result[place : place + len(what)] = what
        elif how == "add" and result:
            result[place] = (result[place] + what) % 256
        elif how == "drop":
            del result[place : place + what]
        elif how == "double":
            result[place:place] = result[place : place + what]
        elif how == "end":
            del result[place:]
    return bytes(result)


def read(name: str, content: bytes, options: SourceOptions, max_rows: int) -> int:
    with open_stream(io.BytesIO(content), announced_by_name(name), options) as source:
        rows = 0
        for batch in source.batches(max_rows):
            checked = validate(batch)
            assert len(checked.events) + len(checked.rejects) == checked.rows == batch.rows
            assert batch.rows <= max_rows
            rows += batch.rows
    return rows


def refusal(name: str, content: bytes, options: SourceOptions, max_rows: int) -> str:
    """Why the file was refused, or nothing if it was read to its end."""
    try:
        read(name, content, options, max_rows)
    except InvalidInput as refused:
        return str(refused)
    return ""


@pytest.mark.parametrize("seed", SEEDS)
def test_an_undamaged_file_has_all_its_rows(seed: str) -> None:
    assert read(*SEEDS[seed], SourceOptions(), 7) == len(FEW)


@pytest.mark.parametrize("seed", SEEDS)
@EXAMPLES
@given(hits=blows, rest=st.booleans(), derive=st.booleans(), max_rows=st.sampled_from([3, 1000]))
def test_a_damaged_file_is_read_as_far_as_it_can_be_or_refused(
    seed: str, hits: list[tuple[float, tuple[str, Any]]], rest: bool, derive: bool, max_rows: int
) -> None:
    name, content = SEEDS[seed]
    options = SourceOptions(
        ColumnOptions(rest=rest, derive_ids=derive),
        max_content_bytes=50 << 20,
        max_batch_bytes=50 << 20,
    )
    assert "\n" not in refusal(name, damaged(content, hits), options, max_rows)


@pytest.mark.parametrize("case", MATRIX, ids=str)
@EXAMPLES
@given(content=st.binary(max_size=100))
def test_any_bytes_are_rows_or_refused(case: Case, content: bytes) -> None:
    assert "\n" not in refusal(case.name, content, SourceOptions(max_content_bytes=1 << 20), 10)


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


@EXAMPLES
@given(
    st.lists(json_values, max_size=8),
    st.booleans(),
    st.sampled_from([None, 1]),
    st.integers(1, 9),
)
def test_an_array_in_blocks_is_the_array_as_a_whole(
    values: list[Any], ascii_only: bool, indent: int | None, max_rows: int
) -> None:
    content = json.dumps(values, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "replace")
    try:
        whole = read_json(content)
    except InvalidInput:
        return
    batches = list(JsonSource(io.BytesIO(content)).batches(max_rows))
    assert [row for batch in batches for row in cells(batch)] == cells(whole)
    told = [(reject.position, reject.code) for batch in batches for reject in batch.rejects]
    assert told == [(reject.position, reject.code) for reject in whole.rejects]

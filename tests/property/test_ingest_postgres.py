"""What validation takes, Postgres takes: a load of whatever rows ends with exact counts."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
from collections.abc import Iterator
from uuid import UUID

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.events import ProjectId
from ingest.load import LoadOptions, load
from ingest.rejects import Reject
from ingest.report import Report
from ingest.sources.csv import CsvSource
from tests.conftest import Database
from tests.unit.ingest.rows import T0, csv_file, event_id

EXAMPLES = settings(max_examples=60)
PROJECTS = itertools.count(1)

numbers = st.one_of(
    st.integers().map(str),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.from_regex(r"-?[0-9]{1,3}(\.[0-9]{1,3})?([eE][+-]?[0-9]{1,6})?", fullmatch=True),
    st.sampled_from(["1e308", "1e309", "0e16383", "0e99999", "1e-16383", "1e-16384", "-0", "01"]),
)
strings = st.one_of(
    st.text(max_size=5).map(json.dumps),
    st.sampled_from(
        ['"\\u0000"', '"\\\\u0000"', '"\\ud800"', '"\\ud83d\\ude00"', '"\x7f"', '"\t"']
    ),
)
values = st.recursive(
    st.one_of(numbers, strings, st.sampled_from(["true", "null", "NaN", "-Infinity", ""])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]"),
        st.lists(st.tuples(strings, inner), max_size=3).map(
            lambda pairs: "{" + ",".join(f"{key}:{value}" for key, value in pairs) + "}"
        ),
    ),
    max_leaves=5,
)
texts = st.one_of(st.text(max_size=5), st.sampled_from(["a" * 200, "a" * 201, "é" * 200, "\ufeff"]))
instants = st.one_of(
    st.just(T0),
    st.sampled_from(["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.9999999Z", "0000-12-31T23:59Z"]),
    st.datetimes().map(lambda at: at.isoformat() + "+03:30"),
)
rows = st.tuples(
    st.integers(0, 9).map(event_id),
    instants,
    texts,
    texts,
    st.one_of(st.tuples(strings, values).map(lambda pair: f"{{{pair[0]}:{pair[1]}}}"), values),
)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as running:
        yield running


async def loaded(
    url: str, project: ProjectId, content: bytes, batch_rows: int
) -> tuple[Report, list[Reject], set[UUID]]:
    rejects: list[Reject] = []
    async with asyncpg.create_pool(url, min_size=0, max_size=1) as pool:
        report = await load(
            CsvSource(io.BytesIO(content)),
            project_id=project,
            pool=pool,
            options=LoadOptions(batch_rows=batch_rows),
            rejects=rejects.extend,
        )
        query = "select event_id from events where project_id = $1"
        return report, rejects, {row[0] for row in await pool.fetch(query, project)}


@EXAMPLES
@given(rows=st.lists(rows, max_size=25), batch_rows=st.integers(1, 30))
def test_what_is_taken_is_stored_and_everything_is_counted(
    runner: asyncio.Runner,
    module_database: Database,
    rows: list[tuple[str, ...]],
    batch_rows: int,
) -> None:
    project = ProjectId(next(PROJECTS))
    report, rejects, ids = runner.run(
        loaded(module_database.writer, project, csv_file(rows), batch_rows)
    )
    assert (report.rows, report.rejected) == (len(rows), len(rejects))
    assert report.inserted == len(ids)
    taken = sorted(row[0] for row in rows)
    for reject in rejects:
        taken.remove(str(reject.event_id))
    assert ids == {UUID(event) for event in taken}
    assert report.duplicates == len(taken) - len(ids)

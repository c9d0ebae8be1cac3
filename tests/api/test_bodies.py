"""POST /events in every format: counts, rejects, limits, and one transaction or none."""

from __future__ import annotations

import gzip
import io
import json
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import psycopg
import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from tests.api.conftest import Caller
from tests.conftest import Database
from tests.format_matrix import EVENTS, MATRIX, SIZE, STORED, Case, as_csv, as_zstd
from tests.unit.ingest.rows import LINE, event_id

GOOD = "{},2025-08-01T10:15:00Z,ann,login,\n"
CSV = {"Content-Type": "text/csv"}
NDJSON = {"Content-Type": "application/x-ndjson"}


def stored(database: Database, caller: Caller) -> list[tuple[Any, ...]]:
    with psycopg.connect(database.reader) as connection:
        connection.execute("set time zone 'UTC'")
        return connection.execute(
            "select event_id, occurred_at, user_id, event_type, properties from events"
            " where project_id = %s order by event_id",
            (caller.project.id,),
        ).fetchall()


def transactions(database: Database, caller: Caller) -> int:
    with psycopg.connect(database.reader) as connection:
        query = "select count(distinct ingest_xid) from events where project_id = %s"
        row = connection.execute(query, (caller.project.id,)).fetchone()
    return int(row[0]) if row else 0


def rows(first: int, size: int) -> str:
    return "".join(GOOD.format(event_id(number)) for number in range(first, first + size))


@pytest.fixture
def own(make_caller: Callable[..., Caller]) -> Caller:
    """A caller whose project has no events yet."""
    return make_caller(str(uuid4()))


@pytest.fixture
def limited(settings: Settings, request: pytest.FixtureRequest) -> Iterator[TestClient]:
    """A client of an app with the settings that the test's parameter changes."""
    with TestClient(create_app(settings.model_copy(update=request.param), local=True)) as client:
        yield client


@pytest.mark.parametrize("case", MATRIX, ids=str)
def test_a_body_of_any_format_is_in_the_table_once(
    client: TestClient, module_database: Database, own: Caller, case: Case
) -> None:
    answers = [
        client.post("/api/events", content=case.content, headers={**own.ingest, **case.headers})
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [200, 200], answers[0].text
    first, second = (answer.json() for answer in answers)
    if case.format == "json":
        ids = [event["event_id"] for event in EVENTS]
        assert first == {"inserted": ids, "duplicates": []}
        assert second == {"inserted": [], "duplicates": ids}
    else:
        counts = ("rows", "inserted", "duplicates", "rejected", "one_transaction", "rejects")
        assert [first[name] for name in counts] == [SIZE, SIZE, 0, 0, True, []]
        assert [second[name] for name in counts] == [SIZE, 0, SIZE, 0, True, []]
    assert stored(module_database, own) == STORED


@pytest.mark.parametrize("case", MATRIX, ids=str)
def test_a_body_cut_short_writes_nothing(
    client: TestClient, module_database: Database, own: Caller, case: Case
) -> None:
    content = case.content[: len(case.content) // 2]
    answer = client.post("/api/events", content=content, headers={**own.ingest, **case.headers})
    assert answer.status_code in {400, 422}, answer.text
    assert answer.json()["code"].startswith("invalid_")
    assert stored(module_database, own) == []


@pytest.mark.parametrize("case", MATRIX, ids=str)
def test_damaged_bodies_never_crash_and_count_as_they_write(
    client: TestClient, module_database: Database, own: Caller, case: Case
) -> None:
    """Bytes changed, cut out or put in, at places and of lengths that a seed chooses."""
    chance = random.Random(str(case))  # noqa: S311 - no secret
    for _ in range(15):
        body = bytearray(case.content)
        for _ in range(chance.randint(1, 4)):
            start = chance.randrange(len(body))
            end = start + chance.choice([0, 1, 1, 8, len(body) // 3])
            body[start:end] = chance.randbytes(chance.choice([0, 1, 1, 8, 1000]))
        before = len(stored(module_database, own))
        answer = client.post(
            "/api/events", content=bytes(body), headers={**own.ingest, **case.headers}
        )
        assert answer.status_code in {200, 400, 413, 422}, answer.text
        after = len(stored(module_database, own))
        inserted = answer.json().get("inserted", 0)
        assert after - before == (len(inserted) if isinstance(inserted, list) else inserted)


@pytest.mark.parametrize("large", [False, True])
def test_one_bad_row_keeps_all_others_out(
    client: TestClient,
    module_database: Database,
    own: Caller,
    monkeypatch: pytest.MonkeyPatch,
    large: bool,
) -> None:
    _split(monkeypatch, large=large)
    body = LINE + rows(1, 30) + GOOD.format(event_id(31)).replace("Z", "") + rows(32, 30)
    answer = client.post("/api/events", content=body, headers={**own.ingest, **CSV})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_events")
    assert answer.json()["detail"].startswith("1 of 61 events can't be taken, so none was written")
    (reject,) = answer.json()["errors"]
    assert (reject["position"], reject["unit"], reject["code"], reject["field"]) == (
        32,
        "line",
        "naive_timestamp",
        "occurred_at",
    )
    assert reject["event_id"] == event_id(31)
    assert stored(module_database, own) == []


@pytest.mark.parametrize("large", [False, True])
def test_bad_rows_can_be_skipped(
    client: TestClient,
    module_database: Database,
    own: Caller,
    monkeypatch: pytest.MonkeyPatch,
    large: bool,
) -> None:
    _split(monkeypatch, large=large)
    body = LINE + rows(1, 30) + "nonsense\n" + rows(21, 30)
    answer = client.post(
        "/api/events?on_reject=skip", content=body, headers={**own.ingest, **CSV}
    ).json()
    counts = ("rows", "inserted", "duplicates", "rejected", "one_transaction")
    assert [answer[name] for name in counts] == [61, 50, 10, 1, not large]
    assert [reject["position"] for reject in answer["rejects"]] == [32]
    assert [row[0] for row in stored(module_database, own)] == [UUID(int=n) for n in range(1, 51)]


def _split(monkeypatch: pytest.MonkeyPatch, *, large: bool) -> None:
    """Makes sixty rows a large body, in batches of ten."""
    if large:
        monkeypatch.setattr("ingest.whole.ONE_COMMIT_ROWS", 15)
        monkeypatch.setattr("app.intake.BATCH_ROWS", 10)


@pytest.mark.parametrize("on_reject", ["abort", "skip"])
@pytest.mark.parametrize("size", [16, 15])
def test_up_to_the_limit_a_body_is_one_transaction(
    client: TestClient,
    module_database: Database,
    own: Caller,
    monkeypatch: pytest.MonkeyPatch,
    on_reject: str,
    size: int,
) -> None:
    _split(monkeypatch, large=True)
    answer = client.post(
        f"/api/events?on_reject={on_reject}",
        content=LINE + rows(1, size),
        headers={**own.ingest, **CSV},
    ).json()
    assert (answer["inserted"], answer["one_transaction"]) == (size, size == 15)
    assert transactions(module_database, own) == (1 if size == 15 else 2)


def test_json_with_skip_lists_the_rejects(
    client: TestClient, module_database: Database, own: Caller
) -> None:
    events = [{**EVENTS[0]}, {**EVENTS[1], "user_id": ""}, 7, {**EVENTS[2]}]
    answer = client.post("/api/events?on_reject=skip", json=events, headers=own.ingest).json()
    assert answer["inserted"] == [EVENTS[0]["event_id"], EVENTS[2]["event_id"]]
    assert answer["duplicates"] == []
    assert [(r["position"], r["code"]) for r in answer["rejected"]] == [
        (1, "missing_field"),
        (2, "not_an_object"),
    ]
    assert len(stored(module_database, own)) == 2


def test_an_unknown_policy_is_refused(client: TestClient, own: Caller) -> None:
    answer = client.post("/api/events?on_reject=maybe", json=[], headers=own.ingest)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")


@pytest.mark.parametrize(
    ("headers", "listed"),
    [
        ({"Content-Type": "text/html"}, ["application/json", "text/csv", "parquet", "arrow"]),
        ({"Content-Type": ""}, ["application/json", "text/csv"]),
        ({"Content-Type": "text/csv", "Content-Encoding": "br"}, ["gzip", "zstd"]),
        ({"Content-Type": "text/csv", "Content-Encoding": "gzip, zstd"}, ["gzip", "zstd"]),
    ],
)
def test_unknown_types_and_encodings_are_refused_with_those_we_take(
    client: TestClient, own: Caller, headers: dict[str, str], listed: list[str]
) -> None:
    answer = client.post("/api/events", content=b"x", headers={**own.ingest, **headers})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert all(known in answer.json()["detail"] for known in listed)


def test_type_and_encoding_are_taken_as_people_write_them(client: TestClient, own: Caller) -> None:
    headers = {"Content-Type": "Text/CSV; charset=utf-8", "Content-Encoding": "GZIP"}
    body = gzip.compress((LINE + rows(1, 3)).encode())
    answer = client.post("/api/events", content=body, headers={**own.ingest, **headers})
    assert answer.json()["inserted"] == 3
    plain = {"Content-Type": "text/csv", "Content-Encoding": "identity"}
    answer = client.post("/api/events", content=LINE + rows(4, 1), headers={**own.ingest, **plain})
    assert answer.json()["inserted"] == 1


class Over(NamedTuple):
    """A body over a limit, and what its refusal says."""

    headers: dict[str, str]
    body: bytes
    code: str
    named: str


JSON = {"Content-Type": "application/json"}
GZIP, ZSTD = {"Content-Encoding": "gzip"}, {"Content-Encoding": "zstd"}
BOMB = LINE.encode() + b"x" * (20 << 20)
LIMITS = {
    "events": (
        {"max_json_events": 2},
        Over(JSON, json.dumps(EVENTS[:3]).encode(), "too_many_events", "MAX_JSON_EVENTS allows 2"),
    ),
    "unpacked": (
        {"max_body_size": 1024},
        Over(
            {**JSON, **GZIP},
            gzip.compress(json.dumps(EVENTS).encode()),
            "body_too_large",
            "MAX_BODY_SIZE",
        ),
    ),
    "bulk": ({"max_bulk_size": 1024}, Over(CSV, as_csv(EVENTS), "body_too_large", "MAX_BULK_SIZE")),
    "gzip bomb": (
        {"max_content_size": 1 << 20},
        Over({**CSV, **GZIP}, gzip.compress(BOMB), "content_too_large", "MAX_CONTENT_SIZE"),
    ),
    "zstd bomb": (
        {"max_content_size": 1 << 20},
        Over({**CSV, **ZSTD}, as_zstd(BOMB), "content_too_large", "MAX_CONTENT_SIZE"),
    ),
}


@pytest.mark.parametrize(
    ("limited", "over"), LIMITS.values(), indirect=["limited"], ids=list(LIMITS)
)
@pytest.mark.parametrize("streamed", [False, True])
def test_over_a_limit_is_refused_by_its_name(
    limited: TestClient, own: Caller, module_database: Database, over: Over, streamed: bool
) -> None:
    content = iter([over.body[:500], over.body[500:]]) if streamed else over.body
    answer = limited.post("/api/events", content=content, headers={**own.ingest, **over.headers})
    assert (answer.status_code, answer.json()["code"]) == (413, over.code)
    assert over.named in answer.json()["detail"]
    assert stored(module_database, own) == []


@pytest.mark.parametrize(
    "limited", [{"max_properties_size": 100, "max_properties_depth": 3}], indirect=True
)
@pytest.mark.parametrize("kind", ["json", "ndjson"])
@pytest.mark.parametrize(
    ("properties", "code", "named"),
    [({"x": "y" * 100}, "too_long", "100"), ({"a": {"b": {"c": {}}}}, "too_deep", "3 levels")],
)
def test_properties_over_their_limits_are_rejected(
    limited: TestClient, own: Caller, kind: str, properties: Any, code: str, named: str
) -> None:
    line = json.dumps({**EVENTS[1], "properties": properties})
    content, headers = (f"[{line}]", {"Content-Type": "application/json"})
    if kind == "ndjson":
        content, headers = line, NDJSON
    answer = limited.post("/api/events", content=content, headers={**own.ingest, **headers})
    assert answer.status_code == 422
    (reject,) = answer.json()["errors"]
    assert reject["code"] == code
    assert named in reject["message"]


@pytest.mark.parametrize("kind", ["json", "ndjson"])
def test_an_event_of_the_far_future_is_rejected(client: TestClient, own: Caller, kind: str) -> None:
    content = json.dumps([{**EVENTS[1], "occurred_at": "2525-08-01T10:15:00Z"}])
    if kind == "ndjson":
        content = content[1:-1]
    headers = JSON if kind == "json" else NDJSON
    answer = client.post("/api/events", content=content, headers={**own.ingest, **headers})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["code"] == "timestamp_ahead"


BAD_VALUES = {
    "nan": b"NaN",
    "infinity": b"-Infinity",
    "400 digits": b"1" * 400,
    "beyond a float": b"1e999",
    "lone surrogate": rb'"\ud800"',
    "nul": rb'"\u0000"',
    "raw nul": b'"\0"',
    "10 MB": b'"' + b"x" * 10_000_000 + b'"',
    "deep": b"[" * 5_000 + b"]" * 5_000,
    "deeper": b"[" * 500_000 + b"]" * 500_000,
    "not utf-8": b'"\xff"',
}


@pytest.mark.parametrize("field", ["user_id", "event_id", "properties"])
@pytest.mark.parametrize("kind", ["json", "ndjson"])
@pytest.mark.parametrize("name", BAD_VALUES)
def test_a_bad_value_is_refused_and_never_a_crash(
    client: TestClient, own: Caller, module_database: Database, name: str, kind: str, field: str
) -> None:
    value = BAD_VALUES[name]
    event = json.dumps({**EVENTS[1], field: "@"}).encode()
    replaced = b'{"p":' + value + b"}" if field == "properties" else value
    content = event.replace(b'"@"', replaced)
    headers = NDJSON
    if kind == "json":
        content, headers = b"[" + content + b"]", {"Content-Type": "application/json"}
    answer = client.post("/api/events", content=content, headers={**own.ingest, **headers})
    assert answer.status_code in {400, 413, 422}, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.content) < 10_000
    assert stored(module_database, own) == []


@pytest.mark.parametrize("headers", [{"Content-Type": "application/json"}, NDJSON])
def test_integers_beyond_64_bits_keep_their_digits(
    client: TestClient, own: Caller, module_database: Database, headers: dict[str, str]
) -> None:
    content = json.dumps({**EVENTS[1], "user_id": 3**80, "properties": {"n": -(3**80)}})
    answer = client.post("/api/events", content=content, headers={**own.ingest, **headers})
    assert answer.status_code == 200
    (row,) = stored(module_database, own)
    assert (row[2], row[4]) == (str(3**80), {"n": -(3**80)})


@pytest.mark.parametrize("kind", ["json", "csv", "ndjson"])
def test_a_byte_order_mark_is_left_out(client: TestClient, own: Caller, kind: str) -> None:
    (case,) = [c for c in MATRIX if c.format == kind and c.compression is None]
    answer = client.post(
        "/api/events",
        content=b"\xef\xbb\xbf" + case.content,
        headers={**own.ingest, **case.headers},
    )
    assert answer.status_code == 200
    inserted = answer.json()["inserted"]
    assert (len(inserted) if kind == "json" else inserted) == SIZE


def test_a_body_without_rows_is_no_error_but_one_without_header_is(
    client: TestClient, own: Caller
) -> None:
    answer = client.post("/api/events", content=LINE, headers={**own.ingest, **CSV})
    assert (answer.status_code, answer.json()["rows"]) == (200, 0)
    answer = client.post("/api/events", content=b"", headers={**own.ingest, **CSV})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")


def test_one_file_posted_thrice_at_once_counts_each_row_once(
    client: TestClient, module_database: Database, own: Caller
) -> None:
    file = io.StringIO()
    file.write(LINE)
    file.writelines(GOOD.format(UUID(int=number * 0x9E3779B97F4A7C15)) for number in range(100_000))
    body = gzip.compress(file.getvalue().encode(), 1)
    headers = {**own.ingest, **CSV, "Content-Encoding": "gzip"}

    def post(_: int) -> Any:
        return client.post("/api/events", content=body, headers=headers).json()

    with ThreadPoolExecutor(3) as threads:
        answers = list(threads.map(post, range(3)))
    assert sum(answer["inserted"] for answer in answers) == 100_000, answers
    assert sum(answer["duplicates"] for answer in answers) == 200_000
    assert len(stored(module_database, own)) == 100_000


def test_openapi_shows_every_type(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()["paths"]["/api/events"]["post"]
    types = set(schema["requestBody"]["content"])
    assert types >= {case.headers["Content-Type"] for case in MATRIX}
    assert {"200", "400", "401", "403", "408", "413", "415", "422", "429", "503"} <= set(
        schema["responses"]
    )
    answers = schema["responses"]["200"]["content"]["application/json"]["schema"]["anyOf"]
    assert [answer["$ref"].rpartition("/")[2] for answer in answers] == ["Accepted", "Loaded"]

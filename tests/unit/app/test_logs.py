"""Log lines: fields, requests' context, and no secrets whoever writes them."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.contextvars import bound_contextvars

from app.logs import HIDDEN, formatter
from app.serving import configure_logs
from app.settings import Settings

KEY = "tmk_ingest_" + "Ab3-_" * 8 + "xyz"
INVITATION = "tmi_" + "Ab3-_" * 8 + "xyz"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"
HASH = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub"
SECRETS = {
    "key": (f"unknown key {KEY}", KEY),
    "invitation": (f"no such invitation {INVITATION}", INVITATION),
    "token": (f"token {JWT} has expired", JWT),
    "hash": (f"can't read {HASH}", HASH),
    "header": (f"headers: Authorization: Bearer {KEY}", KEY),
    "opaque bearer": ("Bearer s3cr3t-of-metrics", "s3cr3t-of-metrics"),
    "basic": ("authorization=Basic YW5uOnBhc3M=", "YW5uOnBhc3M="),
    "url": ("postgresql://ann:pa$$w0rd@db/events", "pa$$w0rd"),
    "redis url": ("redis://:hunter2@cache:6379/0", "hunter2"),
    "dsn": ("host=db password=hunter2 user=ann", "hunter2"),
    "json": ('{"password": "hunter2", "email": "ann@example.com"}', "hunter2"),
    "query": ("GET /join?token=hunter2&x=1", "hunter2"),
}
FORMS = pytest.mark.parametrize("as_json", [True, False], ids=["json", "text"])


@pytest.fixture
def written(as_json: bool) -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter(as_json=as_json))
    log.addHandler(handler)
    yield stream
    log.removeHandler(handler)


log = logging.getLogger("tests.logs")
log.propagate = False
log.setLevel(logging.DEBUG)


def document(written: io.StringIO) -> dict[str, Any]:
    (line,) = written.getvalue().splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("chosen", "stderr", "as_json"),
    [
        ("auto", io.StringIO, True),
        ("auto", Terminal, False),
        ("json", Terminal, True),
        ("text", io.StringIO, False),
    ],
)
def test_a_server_logs_json_unless_somebody_looks_on(
    monkeypatch: pytest.MonkeyPatch, chosen: Any, stderr: type[io.StringIO], as_json: bool
) -> None:
    written, root = stderr(), logging.getLogger()
    before = root.handlers[:]
    monkeypatch.setattr(sys, "stderr", written)
    monkeypatch.setattr(root, "level", root.level)
    monkeypatch.setattr(logging.getLogger("uvicorn"), "level", logging.NOTSET)
    try:
        configure_logs(Settings(log_format=chosen))
        logging.getLogger("tests.other").warning("some.event")
    finally:
        for each in set(root.handlers) - set(before):
            root.removeHandler(each)
    assert written.getvalue().startswith("{") == as_json
    assert "some.event" in written.getvalue()


@FORMS
@pytest.mark.parametrize("case", SECRETS)
def test_no_secret_gets_out(written: io.StringIO, case: str) -> None:
    text, secret = SECRETS[case]
    log.warning(text)
    log.warning("some.event", extra={"detail": text, "nested": {"list": [text]}})
    log.error("some.crash", exc_info=ValueError(text))
    assert secret not in written.getvalue()
    assert written.getvalue().count(HIDDEN) >= 4


@FORMS
@pytest.mark.parametrize("name", ["password", "new_password", "refresh_token", "METRICS_TOKEN"])
def test_a_field_named_like_a_secret_is_hidden(written: io.StringIO, name: str) -> None:
    log.info("some.event", extra={name: "plain words", "deep": {name: "plain words"}})
    assert "plain words" not in written.getvalue()


@FORMS
@pytest.mark.parametrize(
    "harmless",
    ["event_id=6b1f5f0e-6c0a-4d7e-9d3e-0b6f2b3c4d5e", "https://db:5432/x", "a@b.example"],
)
def test_what_is_no_secret_stays(written: io.StringIO, harmless: str) -> None:
    log.info(harmless)
    assert HIDDEN not in written.getvalue()


@pytest.mark.parametrize("as_json", [True])
def test_a_line_is_a_document_with_its_requests_fields(written: io.StringIO) -> None:
    with bound_contextvars(request_id="r1", caller="key:7"):
        log.info("some.event", extra={"rows": 3})
    found = document(written)
    assert found.pop("timestamp").endswith("Z")
    assert found == {
        "event": "some.event",
        "level": "info",
        "rows": 3,
        "request_id": "r1",
        "caller": "key:7",
    }


@pytest.mark.parametrize("as_json", [True])
def test_fields_in_a_librarys_message_become_fields(written: io.StringIO) -> None:
    log.warning("mirror.failed cause=%s rows=%d: %s", "disk", 3, "No space left: a=b is full")
    found = document(written)
    assert (found["event"], found["cause"], found["rows"]) == ("mirror.failed", "disk", "3")
    assert "No space left" in found["message"]


@pytest.mark.parametrize("as_json", [True])
def test_a_trace_is_one_line(written: io.StringIO) -> None:
    log.error("some.crash", exc_info=ZeroDivisionError("why"))
    assert "ZeroDivisionError: why" in document(written)["exception"]

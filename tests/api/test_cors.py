"""CORS: whose scripts may read answers, refusals and crashes included."""

from __future__ import annotations

import logging

import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings

SITE, OTHER = "https://a.example", "https://b.example"


def answer_to(settings: Settings, origin: str, **changes: object) -> dict[str, str]:
    """The CORS headers of a refusal, for a script of this origin."""
    client = TestClient(create_app(settings.model_copy(update=changes)))
    found = client.get("/nowhere", headers={"Origin": origin})
    assert found.status_code == 404
    return {
        name.removeprefix("access-control-"): value
        for name, value in found.headers.items()
        if name.startswith("access-control-")
    }


def test_by_default_no_site_is_let_in(settings: Settings) -> None:
    assert answer_to(settings, SITE) == {}


def test_a_site_that_is_named_is_let_in_and_no_other(settings: Settings) -> None:
    assert answer_to(settings, SITE, cors_origins=(SITE,))["allow-origin"] == SITE
    assert "allow-origin" not in answer_to(settings, OTHER, cors_origins=(SITE,))


def test_any_site_without_credentials(settings: Settings) -> None:
    headers = answer_to(settings, OTHER, cors_origins=("*",))
    assert headers["allow-origin"] == "*"
    assert "allow-credentials" not in headers


@pytest.mark.parametrize("unsafe", ["*", "null"])
def test_with_credentials_any_and_null_are_left_out_with_a_warning(
    settings: Settings, caplog: pytest.LogCaptureFixture, unsafe: str
) -> None:
    both = (unsafe, SITE)
    with caplog.at_level(logging.WARNING):
        stranger = "null" if unsafe == "null" else OTHER
        assert "allow-origin" not in answer_to(
            settings, stranger, cors_origins=both, cors_credentials=True
        )
    assert [record.message for record in caplog.records] == ["cors.left_out"]
    named = answer_to(settings, SITE, cors_origins=both, cors_credentials=True)
    assert (named["allow-origin"], named["allow-credentials"]) == (SITE, "true")


def test_with_credentials_and_nothing_else_nobody_is_let_in(settings: Settings) -> None:
    assert answer_to(settings, SITE, cors_origins=("*", "null"), cors_credentials=True) == {}


def test_a_browser_may_ask_with_our_headers_and_reads_ours(settings: Settings) -> None:
    client = TestClient(create_app(settings.model_copy(update={"cors_origins": (SITE,)})))
    asked = {
        "Origin": SITE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type, x-project, x-request-id",
    }
    assert client.options("/api/events", headers=asked).status_code == 200
    foreign = asked | {"Access-Control-Request-Headers": "x-other"}
    assert client.options("/api/events", headers=foreign).status_code == 400
    told = client.get("/nowhere", headers={"Origin": SITE}).headers["access-control-expose-headers"]
    assert {"Retry-After", "ETag", "X-Request-ID"} <= set(told.split(", "))


def test_a_crash_can_be_read_too(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"cors_origins": (SITE,)}))

    @app.get("/crash")
    async def crash() -> None:
        raise ZeroDivisionError

    found = TestClient(app).get("/crash", headers={"Origin": SITE})
    assert (found.status_code, found.headers["access-control-allow-origin"]) == (500, SITE)

"""Whose word is taken for where a request comes from."""

from __future__ import annotations

import logging

import httpx
import pytest

from app.settings import Settings
from tests.api.test_sockets import serving

SPOOFED = {"X-Forwarded-For": "203.0.113.9, 198.51.100.7", "X-Forwarded-Proto": "https"}


def seen(settings: Settings, caplog: pytest.LogCaptureFixture) -> tuple[str, httpx.Headers]:
    """The address that a request from 127.0.0.1 is taken to come from, and its answer's headers."""
    # The line is written after the answer, at the latest before the server has stopped.
    with caplog.at_level(logging.INFO, "app.request_log"), serving(settings) as (host, port):
        answer = httpx.get(f"http://{host}:{port}/nowhere", headers=SPOOFED)
    (line,) = [record for record in caplog.records if record.message == "request"]
    return line.__dict__["address"], answer.headers


def test_nobodys_word_is_taken_by_default(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    address, headers = seen(settings, caplog)
    assert address == "127.0.0.1"
    assert "strict-transport-security" not in headers


def test_another_proxys_word_is_not_taken(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    other = settings.model_copy(update={"forwarded_allow_ips": "192.0.2.1"})
    assert seen(other, caplog)[0] == "127.0.0.1"


def test_of_a_trusted_proxy_the_last_address_that_is_not_trusted_counts(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """The first is what the caller itself wrote."""
    trusted = settings.model_copy(update={"forwarded_allow_ips": "127.0.0.0/8"})
    address, headers = seen(trusted, caplog)
    assert address == "198.51.100.7"
    assert "strict-transport-security" in headers

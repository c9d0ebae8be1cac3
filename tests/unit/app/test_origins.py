"""CORS_ORIGINS: the ways to write it, and what is refused at start."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from app.settings import Settings


@pytest.mark.parametrize(
    ("written", "origins"),
    [
        ("", ()),
        ("*", ("*",)),
        ("https://a.example", ("https://a.example",)),
        (
            " https://a.example , http://localhost:3000,",
            ("https://a.example", "http://localhost:3000"),
        ),
        ('["https://a.example", "http://[::1]:80"]', ("https://a.example", "http://[::1]:80")),
        ('["*"]', ("*",)),
        ("null", ("null",)),
        ("HTTPS://A.example/,https://a.example", ("https://a.example",)),
    ],
)
def test_origins_are_written_in_three_ways(
    monkeypatch: pytest.MonkeyPatch, written: str, origins: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CORS_ORIGINS", written)
    assert Settings().cors_origins == origins


@pytest.mark.parametrize(
    "written",
    [
        "a.example",
        "https://a.example/path",
        "https://*.example",
        "ftp://a.example",
        "https://a.example https://b.example",
        '["https://a.example"',
        "[1]",
        '[["https://a.example"]]',
        "https://user:pass@a.example",
    ],
)
def test_what_is_no_origin_is_refused_at_start(
    monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    monkeypatch.setenv("CORS_ORIGINS", written)
    with pytest.raises(ValidationError, match=r"is no origin|begins like a JSON list"):
        Settings()

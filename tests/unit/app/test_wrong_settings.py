"""All that is wrong about the settings is said at once, before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.serving_settings import ServingSettings
from app.settings import Settings
from app.wrong_settings import message

KEY = "S3v1kW0a9bQ2rT5yU8iO1pA4sD7fG0hJ"


def refused(kind: type[Settings], **flags: str) -> str:
    """What is said of settings that can't be used."""
    with pytest.raises(ValidationError) as caught:
        kind(**flags)
    return message(caught.value)


def test_everything_wrong_is_one_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "API_PORT": "x",
        "LOG_LEVEL": "loud",
        "REFRESH_TTL_DAYS": "30",
        "SESSION_TTL_DAYS": "20",
        "REDIS_URL": "redis://host",
        "METRICS_TOKEN_FILE": str(tmp_path / "missing"),
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    said = refused(Settings)
    for name in given:
        assert name in said
    assert "(5) " in said
    assert "(6) " not in said
    assert f"METRICS_TOKEN (from METRICS_TOKEN_FILE={tmp_path / 'missing'}): the file can't" in said


def test_what_hangs_on_a_wrong_setting_is_not_said_to_contradict_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REFRESH_TTL_DAYS", "x")
    monkeypatch.setenv("SESSION_TTL_DAYS", "3")
    said = refused(Settings)
    assert "(1) REFRESH_TTL_DAYS='x' (from the environment)" in said
    assert "(2) " not in said


def test_a_server_names_what_only_it_needs_in_the_same_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "key").write_text("short")
    given = {
        "DATABASE_URL": "mysql://ann:hush@host/db",
        "REDIS_URL": "redis://host:port",
        "SECRET_KEY_FILE": str(tmp_path / "key"),
        "BENCHMARK_TOKEN": "hush, this one too",
        "FORWARDED_ALLOW_IPS": "127.0.0.1, 10.0.0.1/8",
        "MIRROR_DIRECTORY": str(tmp_path / "file" / "mirror"),
        "TEMP_DIRECTORY": "/proc",
        "WORKERS": "65",
    }
    monkeypatch.delenv("SECRET_KEY")
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    said = refused(ServingSettings, api_host="0.0.0.0")  # noqa: S104
    for part in (
        "DATABASE_URL (from the environment): the address doesn't begin with postgresql://",
        "REDIS_URL (from the environment): it is no URL",
        "FORWARDED_ALLOW_IPS='127.0.0.1, 10.0.0.1/8' (from the environment): 10.0.0.1/8 has host",
        "WORKERS='65' (from the environment): ",
        f"SECRET_KEY has 5 bytes; .* (SECRET_KEY from SECRET_KEY_FILE={tmp_path / 'key'})",
        "BENCHMARK_TOKEN passes without a login, .* is '0.0.0.0'; .* (BENCHMARK_TOKEN from the env",
        f"{tmp_path / 'file'} can't be written to (Not a directory)",
        "TEMP_DIRECTORY='/proc': /proc can't be written to",
    ):
        for piece in part.split(" .* "):
            assert piece in said
    assert "(8) " in said
    assert "(9) " not in said
    assert "hush" not in said


@pytest.mark.parametrize("address", ["postgresql://host/db", "mysql://host/db"])
def test_a_key_is_asked_for_where_servers_are_given_rightly_or_wrongly(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SECRET_KEY")
    assert ServingSettings().secret_key is None
    monkeypatch.setenv("DATABASE_URL", address)
    assert "SECRET_KEY is not set" in refused(ServingSettings)
    monkeypatch.setenv("SECRET_KEY", KEY)
    if address.startswith("postgresql"):
        assert ServingSettings().secret_key is not None


def test_a_key_that_is_given_is_looked_at_beside_own_servers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SECRET_KEY", "short")
    assert "SECRET_KEY has 5 bytes" in refused(ServingSettings)
    assert Settings().secret_key is not None, "an import signs nothing"


@pytest.mark.parametrize(
    ("host", "passes"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("me", False)],  # noqa: S104
)
def test_a_token_for_measuring_is_taken_on_loopback_only(
    host: str, passes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHMARK_TOKEN", "x" * 16)
    if passes:
        assert ServingSettings(api_host=host).benchmark_token is not None
    else:
        assert "loopback address only" in refused(ServingSettings, api_host=host)


@pytest.mark.parametrize("given", ["", "*", "10.0.0.0/8,::1", " 127.0.0.1 , 192.0.2.0/24"])
def test_proxies_are_addresses_and_networks(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", given)
    assert Settings().forwarded_allow_ips == given
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "nginx")
    assert "'nginx' does not appear to be an IPv4 or IPv6 network" in refused(Settings)


def test_a_folder_is_tried_where_it_would_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIRROR_DIRECTORY", str(tmp_path / "not" / "yet"))
    assert ServingSettings().mirror
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("MIRROR_DIRECTORY", "/proc/nowhere")
    assert "MIRROR_DIRECTORY='/proc/nowhere': /proc can't be written to" in refused(ServingSettings)
    monkeypatch.setenv("MIRROR", "false")
    assert not ServingSettings().mirror

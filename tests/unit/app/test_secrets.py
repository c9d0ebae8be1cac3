"""Secrets: short ones and placeholders are refused, files are read, nothing shows them."""

from __future__ import annotations

import stat
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from app.accounts.errors import BenchmarkExposed
from app.accounts.secret_key import UnsafeSecretKey, local_secret_key, secret_key
from app.local.home import Home
from app.main import create_app
from app.settings import Settings
from app.wrong_settings import message

GOOD = "S3v1kW0a9bQ2rT5yU8iO1pA4sD7fG0hJ"
NAMES = ("DATABASE_URL", "DATABASE_OWNER_URL", "DATABASE_READER_URL", "REDIS_URL", "SECRET_KEY")


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        (None, "is not set"),
        ("", "is not set"),
        (GOOD[:31], "has 31 bytes"),
        ("change-me-" + GOOD, '"change"'),
        ("This-is-my-SECRET-key-0123456789", '"secret"'),
        ("your-key-" + GOOD, '"your-"'),
        ("ab" * 20, "repeats few characters"),
    ],
)
def test_a_missing_short_or_placeholder_secret_is_refused_and_not_shown(
    secret: str | None, why: str
) -> None:
    given = None if secret is None else SecretStr(secret)
    with pytest.raises(UnsafeSecretKey, match=why) as caught:
        secret_key(Settings().model_copy(update={"secret_key": given}))
    assert not secret or secret not in str(caught.value)
    assert "openssl rand" in str(caught.value)


def test_a_random_secret_is_taken() -> None:
    assert secret_key(Settings(secret_key=SecretStr(GOOD))) == GOOD


def test_local_secret_is_made_once_and_is_its_owner_s_alone(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.claim()
    with ProcessPoolExecutor(3, get_context("spawn")) as pool:
        made = set(pool.map(local_secret_key, [home] * 30))
    assert len(made) == 1
    assert made == {local_secret_key(home)}
    assert secret_key(Settings(secret_key=SecretStr(made.pop())))
    assert stat.S_IMODE(home.secret_key.stat().st_mode) == 0o600
    assert sorted(path.name for path in home.path.iterdir()) == [".gitignore", "secret_key"]


@pytest.mark.parametrize("name", NAMES)
def test_a_secret_can_lie_in_a_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheme = {"SECRET_KEY": "", "REDIS_URL": "redis://"}.get(name, "postgresql://")
    (tmp_path / "secret").write_text(f"{scheme}{GOOD}\n")
    monkeypatch.setenv("DATABASE_URL", "postgresql://host/database")
    monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(f"{name}_FILE", str(tmp_path / "secret"))
    assert getattr(Settings(), name.lower()).get_secret_value() == f"{scheme}{GOOD}"


def test_a_secret_given_twice_or_in_no_readable_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY_FILE", str(tmp_path / "missing"))
    with pytest.raises(ValidationError, match="both set"):
        Settings()
    monkeypatch.delenv("SECRET_KEY")
    with pytest.raises(ValidationError, match="No such file"):
        Settings()
    (tmp_path / "missing").write_text("\n")
    with pytest.raises(ValidationError, match="is empty"):
        Settings()


def test_no_secret_has_a_default() -> None:
    secrets = {
        name: field.default
        for name, field in Settings.model_fields.items()
        if "SecretStr" in str(field.annotation)
    }
    assert {"secret_key", "metrics_token", "benchmark_token", "database_url"} <= set(secrets)
    assert set(secrets.values()) == {None}


def test_only_secrets_are_read_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "port").write_text("1")
    monkeypatch.setenv("API_PORT_FILE", str(tmp_path / "port"))
    assert Settings().api_port == 8000


def test_settings_show_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    assert GOOD not in repr(Settings(secret_key=SecretStr(GOOD)))
    monkeypatch.setenv("BENCHMARK_TOKEN", "too short")
    monkeypatch.setenv("API_PORT", "-1")
    with pytest.raises(ValidationError) as caught:
        Settings()
    said = message(caught.value)
    assert "BENCHMARK_TOKEN (from the environment): " in said
    assert "allowed: at least 16 characters" in said
    assert "API_PORT='-1' (from the environment): " in said
    assert "allowed: at least 0, at most 65535" in said
    assert "too short" not in said.replace("is too short", "")


def test_benchmark_token_can_not_be_set_where_servers_are_given() -> None:
    with pytest.raises(ValidationError, match="local servers only"):
        Settings(
            benchmark_token=SecretStr("x" * 16), database_url=SecretStr("postgresql://host/db")
        )


def test_benchmark_token_can_not_be_used_by_an_app_that_others_reach() -> None:
    settings = Settings(benchmark_token=SecretStr("x" * 16))
    with pytest.raises(BenchmarkExposed, match="loopback"):
        create_app(settings)
    assert create_app(settings, local=True)

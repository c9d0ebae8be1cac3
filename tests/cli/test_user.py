"""`tidemark user`, and what a server refuses to start with."""

from __future__ import annotations

import io
import socket
import sys
from pathlib import Path

import psycopg
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from app.local.servers import ServerUrls
from app.main import create_app
from app.settings import Registration, Settings
from tests.api.conftest import bearer, log_in
from tests.cli.conftest import Tidemark
from tests.conftest import Database

PASSWORD = "the operator's own choice"
ANN = "ann@example.com"


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, tidemark: Tidemark) -> Tidemark:
    """The command, with the password on its stdin."""

    def call(*arguments: str, password: str = PASSWORD) -> object:
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{password}\n"))
        return tidemark(*arguments)

    return call  # type: ignore[return-value]


def test_a_closed_registration_is_usable_from_the_command_line(
    typed: Tidemark, database: Database, servers: ServerUrls
) -> None:
    typed("project", "create", "shop")
    made = typed("user", "create", "Ann@Example.com", "--password-stdin")
    assert (made.code, made.out) == (0, "ann@example.com can log in.\n"), made.err
    viewer = ("user", "create", "bob@example.com", "--project", "shop", "--role", "viewer")
    assert typed(*viewer, "--password-stdin").code == 0
    assert (
        typed("user", "list").out == "ann@example.com\tshop:owner\nbob@example.com\tshop:viewer\n"
    )
    invitation = typed("user", "invite", "--project", "shop", "--role", "member").out.strip()

    settings = Settings(
        database_url=SecretStr(database.writer),
        redis_url=SecretStr(servers.redis),
        registration=Registration.CLOSED,
        mirror=False,
    )
    with TestClient(create_app(settings)) as client:
        ann = bearer(log_in(client, ANN, PASSWORD)["access_token"])
        bob = bearer(log_in(client, "bob@example.com", PASSWORD)["access_token"])
        body = {"invitation": invitation}
        joined = client.post("/api/invitations/accept", json=body, headers=bob)
        assert joined.json()["code"] == "already_member"

        changed = typed("user", "password", ANN, "--password-stdin", password="another" * 2)
        assert changed.code == 0
        assert client.get("/api/auth/me", headers=ann).status_code == 401
        ann = bearer(log_in(client, ANN, "another" * 2)["access_token"])

        gone = typed("user", "delete", "bob@example.com", "--yes")
        assert gone.out == "bob@example.com is deleted.\n"
        assert client.get("/api/auth/me", headers=bob).status_code == 401
        assert client.get("/api/auth/me", headers=ann).status_code == 200


def test_a_project_that_loses_its_only_owner_is_named(typed: Tidemark) -> None:
    typed("user", "create", ANN, "--password-stdin")
    answer = typed("user", "delete", ANN, "--yes")
    assert "Project main has no owner now; `tidemark user invite" in answer.out


@pytest.mark.parametrize(
    ("arguments", "password", "message"),
    [
        (("create", "no address"), PASSWORD, "This is no e-mail address"),
        (("create", ANN), "short", "has 12 to 256 characters; this one has 5"),
        (("create", ANN, "--project", "none"), PASSWORD, "No project 'none'"),
        (("password", ANN), PASSWORD, "No user ann@example.com"),
    ],
)
def test_what_can_not_be_done_is_said_in_one_line_and_nothing_is_made(
    typed: Tidemark, arguments: tuple[str, ...], password: str, message: str
) -> None:
    answer = typed("user", *arguments, "--password-stdin", password=password)
    assert answer.code in {1, 2}
    assert message in answer.err
    assert answer.err.count("\n") == 1
    assert not typed("user", "list").out


def test_an_account_is_made_once(typed: Tidemark) -> None:
    assert typed("user", "create", ANN, "--password-stdin").code == 0
    again = typed("user", "create", ANN.upper(), "--password-stdin")
    assert (again.code, "already" in again.err) == (1, True)


def test_hashes_are_kept_and_passwords_are_not(typed: Tidemark, database: Database) -> None:
    typed("user", "create", ANN, "--password-stdin")
    with psycopg.connect(database.owner) as connection:
        ((row,),) = connection.execute("select users::text from users").fetchall()
    assert PASSWORD not in row
    assert "$argon2id$v=19$m=65536,t=2,p=1$" in row


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("SECRET_KEY", "short", "SECRET_KEY has 5 bytes"),
        ("SECRET_KEY", "", "SECRET_KEY is not set"),
        ("SECRET_KEY", "changeme" * 8, 'SECRET_KEY has the word "change" in it'),
        ("BENCHMARK_TOKEN", "x" * 32, "works with local servers only"),
        ("SECRET_KEY_FILE", "/nowhere", "SECRET_KEY and SECRET_KEY_FILE are both set"),
    ],
)
def test_a_server_does_not_start_with_an_unsafe_setting(
    tidemark: Tidemark, monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    answer = tidemark("serve", "--port", "0")
    assert answer.code == 1
    assert message in answer.err
    assert answer.err.count("\n") == 1
    assert not value or value not in answer.err or name.endswith("_FILE")


def test_a_server_names_all_that_is_wrong_at_once_before_it_takes_its_port(
    tidemark: Tidemark, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("SECRET_KEY", "short")
        monkeypatch.setenv("REDIS_URL", "http://host")
        monkeypatch.setenv("LOG_LEVEL", "loud")
        answer = tidemark("serve", "--port", str(taken.getsockname()[1]))
    assert answer.code == 1
    assert all(part in answer.err for part in ("(3) ", "SECRET_KEY", "REDIS_URL", "LOG_LEVEL"))
    assert answer.err.count("\n") == 1


def test_a_local_server_that_others_reach_takes_no_benchmark_token(
    tidemark: Tidemark, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("DATABASE_URL", "DATABASE_OWNER_URL", "DATABASE_READER_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TIDEMARK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BENCHMARK_TOKEN", "x" * 16)
    for command in ("serve", "up"):
        answer = tidemark(command, "--host", "0.0.0.0", "--port", "0")  # noqa: S104
        assert (answer.code, "loopback" in answer.err) == (1, True), answer.err
    assert not (tmp_path / "home").exists()

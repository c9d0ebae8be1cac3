"""/auth: what a password may be, how its hash is kept, and what guessing costs."""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient
from passlib.hash import argon2

from app import lifespan
from app.main import create_app
from app.settings import Settings
from tests.api.conftest import (
    PASSWORD,
    MakePerson,
    ascii_json,
    code,
    log_in,
    me,
)
from tests.conftest import Database


@pytest.mark.parametrize(
    "password", ["", "x" * 11, "x" * 257, "x" * 4096, "ﷺ" * 250, "\ud800" * 12], ids=len
)
def test_a_password_that_is_too_short_or_too_long_is_refused(
    client: TestClient, password: str
) -> None:
    body = b'{"email": "long@example.com", "password": %s}' % ascii_json(password)
    headers = {"Content-Type": "application/json"}
    answer = client.post("/api/auth/register", content=body, headers=headers)
    assert answer.status_code == 422, answer.text
    assert password[:11] not in answer.text or not password


def test_a_password_of_four_kilobytes_is_refused_wherever_one_is_typed(
    client: TestClient, make_person: MakePerson
) -> None:
    ann, long = make_person("kilobytes"), "x" * 4096
    for path, body in (
        ("register", {"email": "four@example.com", "password": long}),
        ("login", {"email": ann.email, "password": long}),
        ("change-password", {"current_password": long, "new_password": PASSWORD}),
        ("change-password", {"current_password": PASSWORD, "new_password": long}),
    ):
        answer = client.post(f"/api/auth/{path}", json=body, headers=ann.headers)
        assert code(answer) == (422, "invalid_parameter")
        assert long[:12] not in answer.text
    longest = {"email": ann.email, "password": "x" * 1024}
    assert code(client.post("/api/auth/login", json=longest)) == (401, "wrong_credentials")


@pytest.mark.parametrize("password", ["x" * 12, "x" * 256, "п" * 256, "a\0b" * 4, "' or 1=1; -- x"])
def test_a_password_of_the_allowed_length_is_taken_whole(client: TestClient, password: str) -> None:
    email = f"p{abs(hash(password))}@example.com"
    body = {"email": email, "password": password}
    assert client.post("/api/auth/register", json=body).status_code == 201
    assert log_in(client, email, password)
    wrong = {"email": email, "password": password[:-1] + "y"}
    assert code(client.post("/api/auth/login", json=wrong)) == (401, "wrong_credentials")


def test_unknown_user_and_wrong_password_are_answered_alike(
    client: TestClient, make_person: MakePerson
) -> None:
    make_person("known")
    answers = [
        client.post("/api/auth/login", json={"email": f"{name}@example.com", "password": "x" * 12})
        for name in ("known", "unknown")
    ]
    assert [code(answer) for answer in answers] == [(401, "wrong_credentials")] * 2
    assert answers[0].json() == answers[1].json()


@pytest.mark.usefixtures("dear_passwords")
def test_unknown_user_takes_as_long_as_a_wrong_password(settings: Settings) -> None:
    """Medians; an unknown user without a hash to check would take a hundredth."""
    lenient = {"auth_account_rate_limit": 1000, "auth_longest_wait": timedelta(0), "mirror": False}
    took: dict[str, list[float]] = {"timed": [], "nobody": []}
    with TestClient(create_app(settings.model_copy(update=lenient))) as client:
        body = {"email": "timed@example.com", "password": PASSWORD}
        client.post("/api/auth/register", json=body)
        for _ in range(9):
            for name, times in took.items():
                wrong = {"email": f"{name}@example.com", "password": "x" * 12}
                began = time.perf_counter()
                answer = client.post("/api/auth/login", json=wrong)
                times.append(time.perf_counter() - began)
                assert answer.status_code == 401
    known, unknown = (statistics.median(times) for times in took.values())
    print(f"wrong password {known * 1000:.1f} ms, unknown user {unknown * 1000:.1f} ms")
    assert 0.5 < unknown / known < 2


def test_changing_the_password_takes_the_current_one(
    client: TestClient, make_person: MakePerson
) -> None:
    ann = make_person("guessed")
    body = {"current_password": "x" * 12, "new_password": "another long password"}
    answer = client.post("/api/auth/change-password", json=body, headers=ann.headers)
    assert code(answer) == (403, "wrong_password")
    assert me(client, ann.headers).status_code == 200


@pytest.mark.usefixtures("dear_passwords")
def test_a_cheap_hash_is_replaced_at_the_next_login(
    make_person: MakePerson, module_database: Database, settings: Settings
) -> None:
    ann = make_person("cheap")
    cheap = argon2.using(type="ID", memory_cost=1024, time_cost=1, parallelism=1).hash(PASSWORD)
    with (
        TestClient(create_app(settings.model_copy(update={"mirror": False}))) as client,
        psycopg.connect(module_database.owner, autocommit=True) as connection,
    ):
        connection.execute("update users set password_hash = %s where id = %s", (cheap, ann.id))
        log_in(client, ann.email)
        statement = "select password_hash, token_version from users where id = %s"
        kept, generation = connection.execute(statement, (ann.id,)).fetchone() or ("", None)
        assert kept.startswith("$argon2id$v=19$m=65536,t=2,p=1$")
        assert generation == 0
        assert log_in(client, ann.email)


def test_a_password_may_be_typed_on_another_keyboard(client: TestClient) -> None:
    email, composed, decomposed = "keys@example.com", "\u00e9" * 12, "e\u0301" * 12
    client.post("/api/auth/register", json={"email": email, "password": composed})
    assert log_in(client, email, decomposed)


def test_who_guesses_has_to_wait_longer_each_time(settings: Settings) -> None:
    strict = {"auth_account_rate_limit": 1000, "mirror": False}
    with TestClient(create_app(settings.model_copy(update=strict))) as client:
        body = {"email": "guessed.often@example.com", "password": PASSWORD}
        client.post("/api/auth/register", json=body)
        for name in ("guessed.often", "guessed.nobody"):
            wrong = {"email": f"{name}@example.com", "password": "x" * 12}
            found = [
                client.post(
                    "/api/auth/login", json=wrong, headers={"X-Forwarded-For": f"10.0.0.{number}"}
                )
                for number in range(10)
            ]
            assert {code(answer) for answer in found[:6]} == {(401, "wrong_credentials")}
            # One of the rest may come late enough, where the machine is slow.
            waits = [int(each.headers["retry-after"]) for each in found if each.status_code == 429]
            assert waits
            assert waits == sorted(waits)


@pytest.mark.usefixtures("dear_passwords")
def test_passwords_are_hashed_few_at_once_and_the_rest_is_told_to_come_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifespan, "PASSWORDS_AT_ONCE", 1)
    monkeypatch.setattr(lifespan, "PASSWORDS_WAITING", 1)
    with TestClient(create_app(settings.model_copy(update={"mirror": False}))) as client:

        def log_in_as(number: int) -> Any:
            wrong = {"email": f"crowd{number}@example.com", "password": "x" * 12}
            return client.post("/api/auth/login", json=wrong)

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(log_in_as, range(8)))
        busy = [answer for answer in answers if answer.status_code == 503]
        assert {code(answer) for answer in busy} == {(503, "busy")}
        assert all("retry-after" in answer.headers for answer in busy)
        assert {code(each) for each in answers if each not in busy} == {(401, "wrong_credentials")}

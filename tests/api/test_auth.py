"""/auth: accounts, logins, rotating refresh tokens, and everything that ends a session."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import jwt
import psycopg
import pytest
from fastapi.testclient import TestClient
from passlib.hash import argon2
from pydantic import SecretStr
from redis import Redis

from app import lifespan
from app.accounts import sessions
from app.accounts.sessions import SessionKey
from app.accounts.tokens import Claims, Signer, TokenType
from app.database.migrate import upgrade
from app.local.servers import ServerUrls
from app.main import create_app
from app.settings import Registration, Settings
from tests.api.conftest import PASSWORD, Person, bearer, log_in
from tests.conftest import Database

MakePerson = Callable[[str], Person]


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def refreshed(client: TestClient, token: str) -> Any:
    return client.post("/api/auth/refresh", json={"refresh_token": token})


def me(client: TestClient, headers: dict[str, str]) -> Any:
    return client.get("/api/auth/me", headers=headers)


ENDED = (401, "unauthenticated")


def test_who_has_registered_and_logged_in_is_known(
    client: TestClient, make_person: MakePerson
) -> None:
    ann = make_person("ann")
    found = me(client, ann.headers)
    assert found.status_code == 200
    assert (found.json()["id"], found.json()["email"]) == (ann.id, "ann@example.com")


def test_first_user_owns_the_first_project_and_the_second_none(
    database: Database, settings: Settings
) -> None:
    changed = {"database_url": SecretStr(database.writer), "mirror": False}
    with TestClient(create_app(settings.model_copy(update=changed))) as client:
        for name in ("first", "second"):
            body = {"email": f"{name}@example.com", "password": PASSWORD}
            assert client.post("/api/auth/register", json=body).status_code == 201
        found = [
            me(client, bearer(log_in(client, f"{name}@example.com")["access_token"])).json()
            for name in ("first", "second")
        ]
    assert [each["projects"] for each in found] == [
        [{"id": 1, "name": "main", "timezone": "UTC", "week_start": "monday", "role": "owner"}],
        [],
    ]


@pytest.mark.parametrize(
    "email",
    [
        "KÉA.ßtwin@example.com",
        "kéa.ßtwin@EXAMPLE.COM",
        "\uff4b\u00e9\uff41.ßtwin@example.com",
        "ke\u0301a.ßtwin@example.com",
        "\u212aéa.sstwin@example.com",
        "kéa.\u1e9etwin@ex\u1d43mple.com",
    ],
    ids=["upper case", "domain", "full width", "decomposed", "Kelvin sign", "capital sharp s"],
)
def test_other_spellings_of_an_address_are_the_same_account(client: TestClient, email: str) -> None:
    body = {"email": "kéa.ßtwin@example.com", "password": PASSWORD}
    client.post("/api/auth/register", json=body)
    again = client.post("/api/auth/register", json={"email": email, "password": PASSWORD})
    assert code(again) == (409, "email_taken")
    assert log_in(client, email)


@pytest.mark.parametrize(
    "email",
    ["", "ann", "@example.com", "ann@", "a@b@c", "a b@example.com", "a\u200bb@example.com", "a\0@b",
     "a\r\n@b", "\ud800@b", "a\ufe0f@b", "a\u034f@b", "\u3164@b", "a\u00ad@b",
     "x" * 251 + "@b.c", "'; drop table users; --"],
    ids=ascii,
)  # fmt: skip
def test_what_is_no_address_is_refused(client: TestClient, email: str) -> None:
    body = b'{"email": %s, "password": "correct horse battery"}' % ascii_json(email)
    headers = {"Content-Type": "application/json"}
    for path in ("register", "login"):
        answer = client.post(f"/api/auth/{path}", content=body, headers=headers)
        assert answer.status_code == 422, answer.text


def test_what_only_looks_like_an_address_is_another_account(client: TestClient) -> None:
    """The first letter of the second is Cyrillic."""
    for email in ("arial@example.com", "\u0430rial@example.com"):
        body = {"email": email, "password": PASSWORD}
        assert client.post("/api/auth/register", json=body).status_code == 201


def ascii_json(text: str) -> bytes:
    return json.dumps(text).encode()


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


def test_a_login_gives_two_tokens_that_live_as_long_as_the_settings_say(
    client: TestClient, make_person: MakePerson, settings: Settings, servers: ServerUrls
) -> None:
    tokens = log_in(client, make_person("living").email)
    access, refresh = (
        jwt.decode_complete(tokens[name], options={"verify_signature": False})
        for name in ("access_token", "refresh_token")
    )
    assert [each["header"]["alg"] for each in (access, refresh)] == ["HS256", "HS256"]
    lives = [each["payload"]["exp"] - each["payload"]["iat"] for each in (access, refresh)]
    days = timedelta(days=settings.refresh_ttl_days)
    assert lives == [60 * settings.access_ttl_min, days.total_seconds()]
    assert tokens["expires_in"] == lives[0]
    kept = SessionKey(int(access["payload"]["sub"]), access["payload"]["sid"]).entry
    left = timedelta(milliseconds=int(Redis.from_url(servers.redis).pttl(kept)))  # type: ignore[arg-type]
    assert days - timedelta(minutes=1) < left <= days


def test_a_session_goes_on_at_every_server_and_ends_at_all(
    client: TestClient, make_person: MakePerson, settings: Settings
) -> None:
    ann = make_person("moving")
    with TestClient(create_app(settings.model_copy(update={"mirror": False}))) as another:
        assert me(another, ann.headers).status_code == 200
        following = refreshed(another, ann.refresh_token).json()["refresh_token"]
        client.post("/api/auth/logout", json={"refresh_token": following})
        assert code(me(another, ann.headers)) == ENDED
        assert code(refreshed(another, following)) == ENDED


def test_a_refresh_token_is_good_for_one_new_pair(
    client: TestClient, make_person: MakePerson
) -> None:
    ann = make_person("refreshing")
    first = refreshed(client, ann.refresh_token).json()
    assert me(client, bearer(first["access_token"])).status_code == 200
    second = refreshed(client, first["refresh_token"])
    assert second.status_code == 200
    assert code(refreshed(client, ann.refresh_token)) == ENDED


def test_fifty_refreshes_at_once_give_one_pair_and_a_replay_ends_the_session(
    client: TestClient, make_person: MakePerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "GRACE", timedelta(seconds=60))
    ann = make_person("racing")
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: refreshed(client, ann.refresh_token), range(50)))
    won = [answer for answer in answers if answer.status_code == 200]
    lost = [code(answer) for answer in answers if answer.status_code != 200]
    assert (len(won), lost) == (1, [(409, "refresh_raced")] * 49)
    access = bearer(won[0].json()["access_token"])
    assert me(client, access).status_code == 200

    monkeypatch.setattr(sessions, "GRACE", timedelta(milliseconds=-1))
    assert code(refreshed(client, ann.refresh_token)) == ENDED
    assert code(refreshed(client, won[0].json()["refresh_token"])) == ENDED
    assert code(me(client, access)) == ENDED


def test_logout_ends_one_session_at_once_and_can_be_repeated(
    client: TestClient, make_person: MakePerson
) -> None:
    ann = make_person("leaving")
    other = bearer(log_in(client, ann.email)["access_token"])
    for _ in range(2):
        body = {"refresh_token": ann.refresh_token}
        assert client.post("/api/auth/logout", json=body).status_code == 204
    assert code(me(client, ann.headers)) == ENDED
    assert code(refreshed(client, ann.refresh_token)) == ENDED
    assert me(client, other).status_code == 200


def test_a_padded_spelling_of_a_token_ends_with_its_session(
    client: TestClient, make_person: MakePerson
) -> None:
    ann = make_person("padded")
    padded = {"Authorization": ann.headers["Authorization"] + "="}
    assert me(client, padded).status_code in {200, 401}
    client.post("/api/auth/logout", json={"refresh_token": ann.refresh_token})
    assert code(me(client, padded)) == ENDED


def test_logout_from_everywhere_ends_all(client: TestClient, make_person: MakePerson) -> None:
    ann = make_person("everywhere")
    other = log_in(client, ann.email)
    assert client.post("/api/auth/logout-all", headers=ann.headers).status_code == 204
    for headers in (ann.headers, bearer(other["access_token"])):
        assert code(me(client, headers)) == ENDED
    for token in (ann.refresh_token, other["refresh_token"]):
        assert code(refreshed(client, token)) == ENDED
    assert me(client, bearer(log_in(client, ann.email)["access_token"])).status_code == 200


def test_changing_the_password_ends_all_sessions_but_the_one_it_begins(
    client: TestClient, make_person: MakePerson
) -> None:
    ann = make_person("changing")
    other = log_in(client, ann.email)
    body = {"current_password": PASSWORD, "new_password": "another long password"}
    answer = client.post("/api/auth/change-password", json=body, headers=ann.headers)
    assert answer.status_code == 200
    assert code(me(client, ann.headers)) == ENDED
    assert code(refreshed(client, other["refresh_token"])) == ENDED
    assert me(client, bearer(answer.json()["access_token"])).status_code == 200
    assert refreshed(client, answer.json()["refresh_token"]).status_code == 200
    old = client.post("/api/auth/login", json={"email": ann.email, "password": PASSWORD})
    assert code(old) == (401, "wrong_credentials")
    assert log_in(client, ann.email, "another long password")


def test_changing_the_password_takes_the_current_one(
    client: TestClient, make_person: MakePerson
) -> None:
    ann = make_person("guessed")
    body = {"current_password": "x" * 12, "new_password": "another long password"}
    answer = client.post("/api/auth/change-password", json=body, headers=ann.headers)
    assert code(answer) == (403, "wrong_password")
    assert me(client, ann.headers).status_code == 200


def test_sessions_are_listed_and_ended_by_their_user_only(
    client: TestClient, make_person: MakePerson
) -> None:
    ann, bob = make_person("lister"), make_person("other.lister")
    agent = {"User-Agent": "Phone/1.0 " + "x" * 300}
    body = {"email": ann.email, "password": PASSWORD}
    phone = client.post("/api/auth/login", json=body, headers=agent).json()
    found = client.get("/api/auth/sessions", headers=ann.headers).json()
    assert [session["current"] for session in found] == [False, True]
    assert found[0]["user_agent"] == ("Phone/1.0 " + "x" * 300)[:200]

    path = f"/api/auth/sessions/{found[0]['id']}"
    assert client.delete(path, headers=bob.headers).status_code == 204
    assert me(client, bearer(phone["access_token"])).status_code == 200
    assert client.delete(path, headers=ann.headers).status_code == 204
    assert code(me(client, bearer(phone["access_token"]))) == ENDED
    assert len(client.get("/api/auth/sessions", headers=ann.headers).json()) == 1


def test_a_user_has_so_many_sessions_and_no_more(
    client: TestClient, make_person: MakePerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST_SESSIONS", 2)
    ann = make_person("many")
    later = [log_in(client, ann.email) for _ in range(2)]
    assert code(me(client, ann.headers)) == ENDED
    assert [me(client, bearer(each["access_token"])).status_code for each in later] == [200, 200]


def test_a_deleted_user_is_out_at_once(
    client: TestClient, make_person: MakePerson, module_database: Database
) -> None:
    ann = make_person("deleted")
    with psycopg.connect(module_database.owner) as connection:
        connection.execute("delete from users where id = %s", (ann.id,))
    assert code(me(client, ann.headers)) == ENDED
    assert code(refreshed(client, ann.refresh_token)) == ENDED


def test_emptied_redis_lets_nobody_in_who_does_not_log_in_again(
    client: TestClient, make_person: MakePerson, servers: ServerUrls
) -> None:
    logged_out, still_in = make_person("wiped.out"), make_person("wiped.in")
    client.post("/api/auth/logout", json={"refresh_token": logged_out.refresh_token})
    Redis.from_url(servers.redis).flushdb()
    for person in (logged_out, still_in):
        assert code(me(client, person.headers)) == ENDED
        assert code(refreshed(client, person.refresh_token)) == ENDED
    assert log_in(client, still_in.email)


def test_redis_put_back_to_an_earlier_state_revives_no_session_of_an_earlier_generation(
    client: TestClient, make_person: MakePerson, servers: ServerUrls
) -> None:
    ann = make_person("restored")
    redis = Redis.from_url(servers.redis)
    saved = {name: redis.dump(name) for name in redis.keys(f"tidemark:session*{{{ann.id}}}*")}
    assert len(saved) == 2
    client.post("/api/auth/logout-all", headers=ann.headers)
    for name, value in saved.items():
        redis.restore(name, 0, value)
    assert code(me(client, ann.headers)) == ENDED
    assert code(refreshed(client, ann.refresh_token)) == ENDED


def test_redis_put_back_revives_a_session_that_ended_alone(
    client: TestClient, make_person: MakePerson, servers: ServerUrls
) -> None:
    """What docs/security.md says that it doesn't do."""
    ann = make_person("revived")
    redis = Redis.from_url(servers.redis)
    (name,) = redis.keys(f"tidemark:session:{{{ann.id}}}:*")
    saved = redis.dump(name)
    client.post("/api/auth/logout", json={"refresh_token": ann.refresh_token})
    redis.restore(name, 0, saved)
    assert me(client, ann.headers).status_code == 200


def test_tokens_do_not_pass_for_one_another(client: TestClient, make_person: MakePerson) -> None:
    ann = make_person("mixed")
    access = ann.headers["Authorization"].removeprefix("Bearer ")
    assert code(me(client, bearer(ann.refresh_token))) == ENDED
    assert code(refreshed(client, access)) == ENDED
    body = {"refresh_token": access}
    assert code(client.post("/api/auth/logout", json=body)) == ENDED


def test_a_token_of_another_secret_is_refused(client: TestClient, make_person: MakePerson) -> None:
    ann = make_person("forged")
    session = client.get("/api/auth/sessions", headers=ann.headers).json()[0]["id"]
    claims = Claims(ann.id, session, 0, "token")
    for secret, status in (("another secret of 32 bytes or more", 401), (None, 200)):
        signer = Signer(secret or Settings().secret_key.get_secret_value())  # type: ignore[union-attr]
        forged = signer.issue(TokenType.ACCESS, claims, timedelta(minutes=1))
        assert me(client, bearer(forged)).status_code == status


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


@pytest.fixture(params=[Registration.INVITE, Registration.CLOSED, None])
def other_policy(
    request: pytest.FixtureRequest, settings: Settings
) -> Iterator[tuple[Registration, TestClient]]:
    changed = settings.model_copy(update={"registration": request.param, "mirror": False})
    with TestClient(create_app(changed)) as client:
        yield request.param or Registration.INVITE, client


def test_registration_takes_an_invitation_or_is_closed(
    other_policy: tuple[Registration, TestClient], client: TestClient, make_person: MakePerson
) -> None:
    policy, limited = other_policy
    name = f"{policy}.{id(limited)}"
    owner = make_person(f"owner.{name}")
    project = client.post("/api/projects", json={"name": name}, headers=owner.headers).json()
    path = f"/api/projects/{project['id']}/invitations"
    secret = client.post(path, json={"role": "viewer"}, headers=owner.headers).json()["invitation"]
    body: dict[str, Any] = {"email": f"new.{name}@example.com", "password": PASSWORD}
    refusal = "invitation_needed" if policy is Registration.INVITE else "registration_closed"
    assert code(limited.post("/api/auth/register", json=body)) == (403, refusal)

    invited = limited.post("/api/auth/register", json={**body, "invitation": secret})
    if policy is Registration.CLOSED:
        assert code(invited) == (403, "registration_closed")
        return
    assert invited.status_code == 201
    found = me(client, bearer(log_in(client, body["email"])["access_token"])).json()["projects"]
    assert [(each["name"], each["role"]) for each in found] == [(name, "viewer")]
    again = {"email": f"again.{name}@example.com", "password": PASSWORD, "invitation": secret}
    assert code(limited.post("/api/auth/register", json=again)) == (404, "invalid_invitation")


def test_fields_that_there_are_not_are_refused(client: TestClient) -> None:
    body = {"email": "x@example.com", "password": PASSWORD, "role": "owner"}
    assert code(client.post("/api/auth/register", json=body)) == (422, "invalid_parameter")


def test_outcomes_are_counted(client: TestClient, make_person: MakePerson) -> None:
    make_person("counted")
    wrong = {"email": "counted@example.com", "password": "x" * 12}
    client.post("/api/auth/login", json=wrong)
    found = client.get("/metrics").text
    assert 'auth_outcomes_total{action="login",outcome="ok"}' in found
    assert 'auth_outcomes_total{action="login",outcome="wrong_credentials"}' in found


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


def test_redis_holds_no_token(
    client: TestClient, make_person: MakePerson, servers: ServerUrls
) -> None:
    ann = make_person("unstored")
    redis = Redis.from_url(servers.redis)
    held = b"".join(redis.dump(name) or b"" for name in redis.keys("tidemark:session*"))
    assert held
    access = ann.headers["Authorization"].removeprefix("Bearer ")
    for token in (ann.refresh_token, access):
        assert token.rpartition(".")[2].encode() not in held


def test_without_redis_tokens_are_refused_and_keys_pass(
    client: TestClient, make_person: MakePerson, make_caller: Any, join: Any, settings: Settings
) -> None:
    ann, caller = make_person("no.redis"), make_caller("no redis")
    join(ann, caller.project, "owner")
    question = "/api/stats/dau?from=2025-08-01&to=2025-08-01"
    assert client.get(question, headers=ann.headers).status_code == 200
    for away in (SecretStr("redis://127.0.0.1:1/0"), None):
        changed = {"redis_url": away, "mirror": False}
        with TestClient(create_app(settings.model_copy(update=changed))) as without:
            body = {"email": ann.email, "password": PASSWORD}
            refusals = [
                without.get(question, headers=ann.headers),
                without.get("/api/projects", headers=ann.headers),
                without.post("/api/auth/login", json=body),
                refreshed(without, ann.refresh_token),
                without.post("/api/auth/logout", json={"refresh_token": ann.refresh_token}),
            ]
            assert [code(answer) for answer in refusals] == [(503, "redis_unavailable")] * 5
            assert all("retry-after" in answer.headers for answer in refusals)
            assert without.get(question, headers=caller.read).status_code == 200
            assert without.post("/api/events", json=[], headers=caller.ingest).status_code == 200


def test_without_postgres_nobody_is_let_in(
    client: TestClient, make_person: MakePerson, make_caller: Any, servers: ServerUrls,
    settings: Settings, empty_database: Database,
) -> None:  # fmt: skip
    """Another database, taken away after the start."""
    ann, caller = make_person("no.postgres"), make_caller("no postgres")
    url = SecretStr(empty_database.writer)
    upgrade(empty_database.owner)
    changed = {"database_url": url, "database_reader_url": url, "mirror": False}
    with (
        TestClient(
            create_app(settings.model_copy(update=changed)), raise_server_exceptions=False
        ) as without,
        psycopg.connect(servers.admin, autocommit=True) as connection,
    ):
        name = urlsplit(empty_database.writer).path[1:]
        connection.execute(f"drop database {name} with (force)")
        try:
            for headers in (ann.headers, caller.read):
                answer = without.get(
                    "/api/stats/dau?from=2025-08-01&to=2025-08-01", headers=headers
                )
                assert answer.status_code == 503, answer.text
                assert code(answer)[1] == "unreachable"
            assert code(me(without, bearer("nonsense"))) == ENDED  # by its signature alone
        finally:
            connection.execute(f"create database {name}")

"""/auth: logins, rotating refresh tokens, and everything that ends a session."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import jwt
import psycopg
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from redis import Redis

from app.accounts import sessions
from app.accounts.sessions import SessionKey
from app.accounts.tokens import Claims, Signer, TokenType
from app.database.migrate import upgrade
from app.local.servers import ServerUrls
from app.main import create_app
from app.settings import Settings
from tests.api.conftest import (
    ENDED,
    PASSWORD,
    MakePerson,
    bearer,
    code,
    log_in,
    me,
    refreshed,
)
from tests.conftest import Database


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

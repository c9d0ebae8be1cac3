"""The local servers while they run: who gets in and how, their settings, what others can read."""

from __future__ import annotations

import re
import shutil
import stat
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import duckdb
import duckdb_extension_postgres_scanner as scanner
import psycopg
import pytest
import redis
from psycopg import errors

from app.local.errors import NotMainThread
from app.local.home import Home
from app.local.servers import ServerOptions, ServerUrls, check, local_servers, running

ROLES = ("owner", "writer", "reader", "admin")
SCANNER = next(Path(scanner.__file__).parent.rglob("*.duckdb_extension"))


def fresh_home(*below: str) -> Iterator[Home]:
    """A home outside pytest's own folder, which is closed to the servers' user under root."""
    base = Path(tempfile.mkdtemp(prefix="tidemark-"))
    base.chmod(0o755)
    yield Home(base.joinpath(*below, "home"))
    shutil.rmtree(base)


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    yield from fresh_home("""it's a "folder" + 100%""")


@pytest.fixture(scope="module")
def urls(home: Home) -> Iterator[ServerUrls]:
    with local_servers(home) as urls:
        yield urls


@pytest.fixture(scope="module")
def far_urls() -> Iterator[ServerUrls]:
    """Of a home too deep for sockets."""
    for home in fresh_home("deep" * 25):
        with local_servers(home, options=ServerOptions(durable=False)) as urls:
            yield urls


@pytest.fixture(scope="module", params=["sockets", "ports"])
def either(request: pytest.FixtureRequest) -> ServerUrls:
    """The servers on sockets, and on ports."""
    urls = request.getfixturevalue("urls" if request.param == "sockets" else "far_urls")
    assert isinstance(urls, ServerUrls)
    return urls


def rows(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement.encode()).fetchall()


def commands(home: Home) -> list[str]:
    """The command lines of all processes that work in the home."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve().is_relative_to(home.path):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


@pytest.mark.parametrize("role", ROLES)
def test_psycopg_connects_as_each_role(either: ServerUrls, role: str) -> None:
    found = rows(getattr(either, role), "select current_user::text, current_database()::text")
    assert found == [(f"tidemark_{role}", "tidemark")]


@pytest.mark.parametrize("role", ROLES)
async def test_asyncpg_connects_as_each_role(either: ServerUrls, role: str) -> None:
    connection = await asyncpg.connect(getattr(either, role))
    assert await connection.fetchval("select current_user::text") == f"tidemark_{role}"
    await connection.close()


@pytest.mark.parametrize("role", ROLES)
def test_duckdb_attaches_as_each_role(either: ServerUrls, role: str) -> None:
    with duckdb.connect() as duck:
        duck.load_extension(str(SCANNER))
        duck.execute(f"attach '{getattr(either, role)}' as pg (type postgres)")
        found = duck.execute("from postgres_query('pg', 'select current_user::text')").fetchall()
    assert found == [(f"tidemark_{role}",)]


def test_redis_py_connects(either: ServerUrls) -> None:
    with redis.Redis.from_url(either.redis) as client:
        assert client.ping() is True


def test_sockets_lie_in_the_data_directory(home: Home, urls: ServerUrls) -> None:
    assert home.postgres.joinpath(".s.PGSQL.5432").is_socket()
    assert home.valkey.joinpath("valkey.sock").is_socket()
    assert rows(urls.admin, "show listen_addresses") == [("",)]


def test_a_deep_home_listens_on_the_loopback_only(far_urls: ServerUrls) -> None:
    assert {urlsplit(far_urls.writer).hostname, urlsplit(far_urls.redis).hostname} == {"127.0.0.1"}
    assert rows(far_urls.admin, "show listen_addresses") == [("127.0.0.1",)]
    with redis.Redis.from_url(far_urls.redis) as client:
        assert client.config_get("bind") == {"bind": "127.0.0.1"}


def test_roles_have_no_powers_beyond_logging_in(urls: ServerUrls) -> None:
    statement = """
        select rolname::text,
               rolsuper or rolcreatedb or rolcreaterole or rolreplication or rolbypassrls
        from pg_roles where rolcanlogin order by rolname collate "C"
    """
    assert rows(urls.admin, statement) == [
        ("tidemark_admin", True),
        ("tidemark_owner", False),
        ("tidemark_reader", False),
        ("tidemark_writer", False),
    ]


def test_only_the_owner_creates_in_schema_public(urls: ServerUrls) -> None:
    statement = """
        select role, has_schema_privilege('tidemark_' || role, 'public', 'create')
        from unnest(array['owner', 'writer', 'reader']) role
    """
    assert rows(urls.admin, statement) == [("owner", True), ("writer", False), ("reader", False)]


def test_every_way_in_asks_for_a_password(urls: ServerUrls) -> None:
    statement = "select distinct auth_method from pg_hba_file_rules where error is null"
    assert rows(urls.admin, statement) == [("scram-sha-256",)]


def test_postgres_refuses_a_wrong_password(urls: ServerUrls) -> None:
    wrong = re.sub(r":[^:@]+@", ":wrong@", urls.reader)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)


def test_valkey_refuses_to_talk_without_a_password(urls: ServerUrls) -> None:
    bare = re.sub(r":[^:@]+@", "", urls.redis)
    with redis.Redis.from_url(bare) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_postgres_is_set_for_a_small_machine(urls: ServerUrls) -> None:
    expected = {
        "autovacuum": "on",
        "fsync": "on",
        "full_page_writes": "on",
        "idle_in_transaction_session_timeout": "10min",
        "jit": "off",
        "log_min_messages": "warning",
        "max_connections": "60",
        "max_prepared_transactions": "0",
        "max_wal_senders": "0",
        "max_wal_size": "2GB",
        "password_encryption": "scram-sha-256",
        "server_encoding": "UTF8",
        "shared_buffers": "128MB",
        "synchronous_commit": "on",
        "TimeZone": "UTC",
        "unix_socket_permissions": "0700",
        "wal_level": "minimal",
    }
    found = rows(urls.writer, "select name, current_setting(name) from pg_settings")
    assert {name: value for name, value in found if name in expected} == expected


def test_text_sorts_by_code_point_and_knows_upper_case(urls: ServerUrls) -> None:
    statement = "select upper('straße é'), array(select unnest(array['b', 'a', 'B']) order by 1)"
    assert rows(urls.writer, statement) == [("STRAßE É", ["B", "a", "b"])]


def test_valkey_keeps_a_file_and_evicts_nothing(urls: ServerUrls) -> None:
    with redis.Redis.from_url(urls.redis, decode_responses=True) as client:
        found = client.config_get("appendonly", "appendfsync", "maxmemory-policy", "port", "save")
    assert found == {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "port": "0",
        "save": "",
    }


def test_not_durable_gives_up_every_sync(far_urls: ServerUrls) -> None:
    statement = """
        select current_setting('fsync'), current_setting('full_page_writes'),
               current_setting('synchronous_commit')
    """
    assert rows(far_urls.admin, statement) == [("off", "off", "off")]
    with redis.Redis.from_url(far_urls.redis) as client:
        assert client.config_get("appendonly") == {"appendonly": "no"}


@pytest.mark.usefixtures("urls")
def test_the_home_is_closed_to_others(home: Home) -> None:
    modes = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in home.path.iterdir()}
    assert modes == {
        ".gitignore": 0o600,
        "locks": 0o700,
        "logs": 0o700,
        "postgres": 0o700,
        "running.json": 0o600,
        "secrets.json": 0o600,
        "valkey": 0o700,
    }
    assert stat.S_IMODE(home.path.stat().st_mode) & 0o007 == 0


def test_passwords_stand_in_the_secrets_file_alone(home: Home, urls: ServerUrls) -> None:
    passwords = [urlsplit(url).password or "" for url in (urls.writer, urls.admin, urls.redis)]
    files = [path for path in home.path.rglob("*") if path.is_file() and path != home.secrets]
    texts = [*commands(home), *(path.read_bytes().decode(errors="replace") for path in files)]
    assert len(commands(home)) > 2
    assert [text for text in texts if any(word in text for word in passwords)] == []


def test_a_second_use_in_the_same_process_joins(home: Home, urls: ServerUrls) -> None:
    with local_servers(home) as again:
        assert again == urls
    assert running(home) == urls
    check(home)


def test_a_thread_may_join_but_not_start(home: Home, urls: ServerUrls) -> None:
    outcome: list[object] = []

    def use(place: Home) -> None:
        try:
            with local_servers(place) as found:
                outcome.append(found)
        except NotMainThread as error:
            outcome.append(type(error))

    for place in (home, Home(Path(tempfile.mkdtemp(dir=home.path.parent)))):
        thread = threading.Thread(target=use, args=[place])
        thread.start()
        thread.join()
    assert outcome == [urls, NotMainThread]


def test_the_owner_makes_tables_and_the_reader_cannot(urls: ServerUrls) -> None:
    with psycopg.connect(urls.owner) as connection:
        connection.execute("create table made_by_owner ()")
        connection.rollback()
    with (
        psycopg.connect(urls.reader) as connection,
        pytest.raises(errors.InsufficientPrivilege),
    ):
        connection.execute("create table made_by_reader ()")

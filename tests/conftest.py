"""Real servers for the tests: one Postgres and one Valkey a worker, a fresh database a test.

They come from wheels, or by address (`given_servers`).
"""

from __future__ import annotations

import gc
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings
from psycopg import sql

from app.database.migrate import upgrade
from app.local.home import Home
from app.local.roles import OWNER
from app.local.servers import ServerOptions, ServerUrls, local_servers
from tests.given_servers import given, given_servers, new_name

# Prepared transactions stay open however their session ends, which mirrors have to live with. And
# tests log in thousands of times: with 4,096 iterations that takes a twentieth of all their time.
OPTIONS = ServerOptions(
    durable=False, settings={"max_prepared_transactions": "20", "scram_iterations": "1"}
)

# What is imported and collected stays until the end: looking through it again and again for
# garbage takes a third of a collection's time.
gc.disable()

# No test asserts a stopwatch, so no example of a property does.
settings.register_profile("untimed", settings(), deadline=None)
settings.load_profile("untimed")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules that may take longest come first, so that no worker is left alone with one."""

    def may_take(item: pytest.Item) -> float:
        marker = item.get_closest_marker("timeout")
        return float(marker.args[0]) if marker else 0.0

    modules: dict[str, list[pytest.Item]] = {}
    for item in items:
        modules.setdefault(item.location[0], []).append(item)
    weights = {name: (max(map(may_take, own)), len(own)) for name, own in modules.items()}
    items.sort(key=lambda item: weights[item.location[0]], reverse=True)


def pytest_collection_finish() -> None:
    """From here on garbage is collected, of what the tests make."""
    gc.freeze()
    gc.set_threshold(10_000)
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Before xdist takes its number of workers: servers by address can't be shared."""
    addresses, workers = given(), config.getoption("numprocesses", None)
    if addresses and isinstance(workers, int):
        config.option.numprocesses = min(workers, len(addresses))


@dataclass(frozen=True, slots=True)
class Database:
    """One database as each role sees it: libpq URLs for psycopg, asyncpg and DuckDB alike."""

    owner: str
    writer: str
    reader: str
    admin: str


@pytest.fixture(scope="session", autouse=True)
def mirrors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where this worker's processes keep their mirrors: never in the working copy."""
    folder = tmp_path_factory.mktemp("mirrors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIRROR_DIRECTORY", str(folder))
        yield folder


@pytest.fixture(scope="session", autouse=True)
def secret_key() -> Iterator[str]:
    """What the servers of the tests sign tokens with."""
    made = secrets.token_urlsafe(32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECRET_KEY", made)
        yield made


@pytest.fixture(scope="session")
def servers(worker_id: str) -> Iterator[ServerUrls]:
    """Postgres and Valkey of this worker; nothing in them needs to survive a crash of the machine.

    Not in pytest's own folder: that is closed to the unprivileged user the servers run as under
    root.
    """
    if given():
        yield given_servers(0 if worker_id == "master" else int(worker_id.removeprefix("gw")))
        return
    with (
        tempfile.TemporaryDirectory(prefix="tidemark-", ignore_cleanup_errors=True) as folder,
        local_servers(Home(Path(folder)), options=OPTIONS) as urls,
    ):
        yield urls


@pytest.fixture(scope="session")
def template(servers: ServerUrls) -> Iterator[str]:
    """A database with the schema and no rows, built by the migrations; tests get copies of it."""
    name = new_name("template")
    with _new_database(servers.admin, name, "template1"):
        upgrade(_named(servers.owner, name))
        yield name


@pytest.fixture
def database(servers: ServerUrls, template: str) -> Iterator[Database]:
    """A fresh database with the schema, dropped after the test."""
    with new_database(servers, template) as database:
        yield database


@pytest.fixture(scope="module")
def module_database(servers: ServerUrls, template: str) -> Iterator[Database]:
    """The same for all tests of a module, which only read it or keep to projects of their own."""
    with new_database(servers, template) as database:
        yield database


@pytest.fixture
def empty_database(servers: ServerUrls) -> Iterator[Database]:
    """A fresh database without the schema."""
    with new_database(servers, "template1") as database:
        yield database


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """The folder of data files."""
    return Path(__file__).parent / "fixtures"


@contextmanager
def new_database(servers: ServerUrls, template: str) -> Iterator[Database]:
    """A fresh copy of the template, dropped after the block."""
    name = new_name("one")
    roles = (servers.owner, servers.writer, servers.reader, servers.admin)
    with _new_database(servers.admin, name, template):
        yield Database(*(_named(url, name) for url in roles))


@contextmanager
def _new_database(admin: str, name: str, template: str) -> Iterator[None]:
    """A database of the owner's, dropped after the block."""
    # To copy files takes a third of what logging every page does, where nothing is flushed.
    create = sql.SQL("create database {} template {} owner {} strategy file_copy").format(
        *map(sql.Identifier, (name, template, OWNER))
    )
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(create)
    yield
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def _named(url: str, database: str) -> str:
    """The URL with another database's name."""
    address, _, options = url.partition("?")
    return f"{address.rpartition('/')[0]}/{database}" + (f"?{options}" if options else "")

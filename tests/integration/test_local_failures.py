"""Servers that don't start, hang or die: what is said about it, and that nothing stays behind."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.local.cluster import Cluster
from app.local.errors import ServerDied, ServerFailed, ServerSlow
from app.local.home import Home
from app.local.leftovers import _by_command_line
from app.local.servers import ServerOptions, check, local_servers, running
from tests.integration.test_local_processes import (
    FAST,
    public_folder,
    servers_of,
    wait_for,
)


@pytest.fixture(scope="module")
def first_start() -> Iterator[Home]:
    """A home after its first start."""
    for folder in public_folder():
        with local_servers(Home(folder / "home"), options=FAST):
            pass
        yield Home(folder / "home")


@pytest.fixture
def home(first_start: Home) -> Iterator[Home]:
    """A home with a database, and in the end without servers."""
    yield first_start
    assert servers_of(first_start) == set()


@contextlib.contextmanager
def damaged(path: Path, text: str) -> Iterator[None]:
    """A file with another content, for a while."""
    whole = path.read_text()
    path.write_text(text)
    try:
        yield
    finally:
        path.write_text(whole)


@pytest.mark.parametrize("name", ["Postgres", "Valkey"])
def test_a_server_that_dies_is_noticed(home: Home, name: str) -> None:
    with local_servers(home, options=FAST):
        check(home)
        (pid,) = main_processes(home, name)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not main_processes(home, name))
        sentence = rf"The local {name} has stopped; \S+/{name.lower()}.log"
        with pytest.raises(ServerDied, match=sentence):
            check(home)
        assert running(home) is None


def main_processes(home: Home, name: str) -> set[int]:
    """The process of a server that its owner started, and no child of that."""
    if name == "Postgres":
        parents = _by_command_line("postgres", home.postgres / "data")
    else:
        parents = _by_command_line("valkey-server", home.valkey)
    # A child that was forked just now still goes by its parent's command line.
    return {pid for pid, parent in parents.items() if parent not in parents}


def test_a_server_that_hangs_is_killed_in_the_end(home: Home) -> None:
    with local_servers(home, options=ServerOptions(durable=False, stop_seconds=0.1)):
        for pid in servers_of(home):
            os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
    assert time.monotonic() - began < 3


def test_a_postgres_that_does_not_start_quotes_its_log(home: Home) -> None:
    with (
        damaged(home.postgres / "data/postgresql.conf", "?\n"),
        pytest.raises(ServerFailed) as caught,
        local_servers(home, options=FAST),
    ):
        pass
    message = str(caught.value)
    log = home.logs / "postgres.log"
    assert message.startswith(f"Postgres did not start (exit code 1); its log {log} ends with: ")
    assert "syntax error" in message
    assert "\n" not in message


def test_a_valkey_that_does_not_start_quotes_its_log(home: Home) -> None:
    home.valkey.joinpath("appendonlydir").mkdir()
    home.valkey.joinpath("appendonlydir/appendonly.aof.manifest").write_text("?\n")
    sentence = r"Valkey did not start .*valkey.log ends with: .*AOF"
    with pytest.raises(ServerFailed, match=sentence), local_servers(home):
        pass
    shutil.rmtree(home.valkey / "appendonlydir")


def test_an_initdb_that_fails_quotes_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cluster, "_initdb", lambda *_, **__: ("/bin/ls", "/no/such/folder"))
    sentence = r"initdb failed \(exit code 2\).*/no/such/folder"
    for folder in public_folder():
        home = Home(folder / "home")
        with pytest.raises(ServerFailed, match=sentence), local_servers(home, options=FAST):
            pass
        assert servers_of(home) == set()


def test_another_password_than_the_databases_is_reported(home: Home) -> None:
    secrets = re.sub(r'("admin": ")[^"]+', r"\1wrong", home.secrets.read_text())
    with (
        damaged(home.secrets, secrets),
        pytest.raises(ServerFailed, match="password authentication failed"),
        local_servers(home, options=FAST),
    ):
        pass


def test_a_server_that_is_not_ready_in_time_is_stopped(home: Home) -> None:
    options = ServerOptions(durable=False, start_seconds=0.0)
    sentence = r"\w+ isn't ready after 0 seconds; its log"
    with pytest.raises(ServerSlow, match=sentence), local_servers(home, options=options):
        pass

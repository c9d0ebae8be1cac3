"""The same data directory as another server: put back, in recovery, promoted, crashed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from analytics.mirror.errors import HistoryBroken, MirrorUnavailable
from app.database.migrate import upgrade
from app.local.binaries import postgres_binary
from app.local.home import Home
from app.local.instance import SOCKET_PORT
from app.local.servers import ServerOptions, ServerUrls, local_servers
from tests.conftest import Database
from tests.mirror.comparison import Comparison
from tests.mirror.conftest import AT, SHOP, WINDOW, insert
from tests.mirror.hand_kept import HandKept

pytestmark = pytest.mark.slow
# A server in recovery lets nobody read unless its log says enough.
OPTIONS = ServerOptions(settings={"wal_level": "replica", "synchronous_commit": "off"})


@pytest.fixture
def home() -> Iterator[Home]:
    with tempfile.TemporaryDirectory(prefix="tidemark-", ignore_cleanup_errors=True) as folder:
        yield Home(Path(folder))


@pytest.fixture
def mirrored(home: Home, tmp_path: Path) -> Callable[[ServerUrls], HandKept]:
    """A mirror of the server that runs now, always in one folder."""

    def mirrored(urls: ServerUrls) -> HandKept:
        database = Database(urls.owner, urls.writer, urls.reader, urls.admin)
        keeper = HandKept(database, tmp_path)
        keeper.start()
        return keeper

    return mirrored


Mirrored = Callable[[ServerUrls], HandKept]


@contextmanager
def running(home: Home) -> Iterator[ServerUrls]:
    with local_servers(home, options=OPTIONS) as urls:
        yield urls


@contextmanager
def recovering(home: Home, urls: ServerUrls) -> Iterator[None]:
    """The server as a replica without a primary, which Tidemark itself would not start."""
    data = home.postgres / "data"
    (data / "standby.signal").touch()
    settings = {
        "listen_addresses": "",
        "port": str(SOCKET_PORT),
        "unix_socket_directories": str(home.postgres),
        "max_connections": str(OPTIONS.max_connections),
        "wal_level": "replica",
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    owner = data.stat()
    other = {} if owner.st_uid == os.geteuid() else {"user": owner.st_uid, "group": owner.st_gid}
    command = [postgres_binary("postgres"), "-D", data, *options]
    with subprocess.Popen(command, cwd=data, stderr=subprocess.DEVNULL, **other) as server:  # type: ignore[call-overload]
        try:
            _wait_until_it_answers(urls.admin, server)
            yield
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(30)


def _wait_until_it_answers(url: str, server: subprocess.Popen[bytes]) -> None:
    while server.poll() is None:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"the server ended with {server.returncode}")


def agree(keeper: HandKept) -> None:
    with closing(Comparison(keeper)) as comparison:
        comparison.check(SHOP, WINDOW.questions(SHOP))


def put(urls: ServerUrls, *users: str) -> None:
    with psycopg.connect(urls.owner, autocommit=True) as connection:
        for user in users:
            insert(connection, user=user)


def copy(source: Path, target: Path) -> None:
    """As a backup of a stopped server's files does, with their owner."""
    shutil.copytree(source, target, symlinks=True)
    owner = source.stat()
    for path in (target, *target.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def test_data_directory_put_back_is_told_by_the_token(
    home: Home, mirrored: Mirrored, tmp_path: Path
) -> None:
    """Everything else is the same afterwards, and transaction numbers come a second time."""
    with running(home) as urls:
        upgrade(urls.owner)
        put(urls, "ann", "bob")
        with closing(mirrored(urls)) as keeper:
            keeper.open_or_build()
    data = home.postgres / "data"
    copy(data, tmp_path / "copy")
    with running(home) as urls, closing(mirrored(urls)) as keeper:
        keeper.open_or_build()
        for user in ("lost 1", "lost 2", "lost 3"):
            put(urls, user)
            keeper.sync()
        agree(keeper)
    shutil.rmtree(data)
    copy(tmp_path / "copy", data)
    with running(home) as urls, closing(mirrored(urls)) as keeper:
        put(urls, *(f"other {number}" for number in range(8)))
        keeper.open_or_build()
        with pytest.raises(HistoryBroken) as caught:
            keeper.engine.answer(WINDOW.questions(SHOP)[0])
        assert caught.value.cause == "token"
        keeper.open_or_build()
        agree(keeper)


def test_server_in_recovery_is_refused_and_a_promoted_one_is_another_history(
    home: Home, mirrored: Mirrored
) -> None:
    with running(home) as urls:
        upgrade(urls.owner)
        put(urls, "ann", "bob")
        with closing(mirrored(urls)) as keeper:
            keeper.open_or_build()
    with recovering(home, urls), closing(mirrored(urls)) as keeper:
        keeper.open_or_build()
        for refused in (keeper.sync, lambda: keeper.engine.answer(WINDOW.questions(SHOP)[0])):
            with pytest.raises(MirrorUnavailable) as caught:
                refused()
            assert caught.value.cause == "recovery"
        with psycopg.connect(urls.admin, autocommit=True) as admin:
            admin.execute("select pg_promote()")
        with pytest.raises(HistoryBroken) as caught:
            keeper.engine.answer(WINDOW.questions(SHOP)[0])
        assert caught.value.cause == "timeline"
        keeper.open_or_build()
        put(urls, "cid")
        agree(keeper)
        keeper.sync()
        agree(keeper)


def test_crash_of_postgres_takes_back_nothing_that_the_mirror_holds(
    home: Home, mirrored: Mirrored
) -> None:
    """Commits here don't wait for the disk; a sync's lease does, and with it all before it."""
    with running(home) as urls:
        upgrade(urls.owner)
        put(urls, "ann")
        with closing(mirrored(urls)) as keeper:
            keeper.open_or_build()
            put(urls, *(f"user {number}" for number in range(30)))
            keeper.sync()
            put(urls, "perhaps")
            _kill(home)
    with running(home) as urls, closing(mirrored(urls)) as keeper:
        held = keeper.open_or_build().path
        put(urls, "after")
        agree(keeper)
        keeper.sync()
        assert keeper.verified().ok
        assert keeper.store().path == held


def test_events_that_a_crash_took_back_are_not_remembered_for_others_as_many(
    home: Home, mirrored: Mirrored
) -> None:
    """What lies above the tidemark may be lost, where commits don't wait, and be as much again."""
    options = replace(OPTIONS, settings={**OPTIONS.settings, "wal_writer_delay": "10s"})
    [dau, *_] = WINDOW.questions(SHOP)
    with ExitStack() as stack:
        with local_servers(home, options=options) as urls:
            upgrade(urls.owner)
            put(urls, "ann")
            keeper = stack.enter_context(closing(mirrored(urls)))
            keeper.open_or_build()
            keeper.sync()
            with psycopg.connect(urls.owner, autocommit=True) as connection:
                insert(connection, user="lost", at=AT)
            before = keeper.engine.answer(dau).meta.data_version
            _kill(home)
        with running(home) as urls:
            with psycopg.connect(urls.owner, autocommit=True) as connection:
                assert connection.execute("select user_id from events").fetchall() == [("ann",)]
                insert(connection, user="after", at=AT + timedelta(days=3))
            assert keeper.engine.answer(dau).meta.data_version != before
            agree(keeper)


def _kill(home: Home) -> None:
    """The immediate shutdown, whose next start recovers as after a crash."""
    pid = int((home.postgres / "data" / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGQUIT)

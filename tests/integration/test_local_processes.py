"""Processes that run the local servers, share them and die: what lives on, and who waits."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from app.local.binaries import postgres_binary
from app.local.errors import ServerDied
from app.local.home import Home
from app.local.instance import Instance
from app.local.leftovers import _by_command_line, _by_working_directory
from app.local.servers import ServerOptions, ServerUrls, check, local_servers, running

ROOT = Path(__file__).parents[2]
FAST = ServerOptions(durable=False)
HOLD = """
import logging, select, sys
from pathlib import Path
from typing import Any
from app.local.home import Home
from app.local.servers import ServerOptions, local_servers
from app.local.signals import stop_on_signals
logging.basicConfig()
options = ServerOptions(durable=False, wait_for_guests="hasty" not in sys.argv)
with stop_on_signals(), local_servers(Home(Path(sys.argv[1])), options=options) as urls:
    print(urls.writer, flush=True)
    # Polled: a signal that comes just before a blocking read is noticed after it, so perhaps never.
    while not select.select([sys.stdin], [], [], 0.02)[0]:
        pass
"""


class Holder:
    """A process that uses the servers of a home until it is told to leave."""

    def __init__(self, home: Home, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, home.path, *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def url(self) -> str:
        """The writer's address, once the servers are ready."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def leave(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def end(self) -> tuple[int, str]:
        """The exit code and what was logged."""
        assert self.process.stderr is not None
        errors = self.process.stderr.read()
        return self.process.wait(20), errors

    def discard(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()


def public_folder() -> Iterator[Path]:
    """A folder outside pytest's own, which is closed to the servers' user under root."""
    folder = Path(tempfile.mkdtemp(prefix="tidemark-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def first_start() -> Iterator[Home]:
    """A home after its first start, which takes five times as long as those that follow."""
    for folder in public_folder():
        with local_servers(Home(folder / "home"), options=FAST):
            pass
        yield Home(folder / "home")


@pytest.fixture
def home(first_start: Home) -> Iterator[Home]:
    """A home with a database, no servers and empty logs."""
    for log in first_start.logs.iterdir():
        log.unlink()
    yield first_start
    wait_until_gone(first_start)


@pytest.fixture
def new_home() -> Iterator[Home]:
    """A home that doesn't exist yet, with the longest path that leaves room for sockets."""
    for folder in public_folder():
        room = (107 if sys.platform == "linux" else 103) - len(f"{folder}//postgres/.s.PGSQL.5432")
        home = Home(folder / ("h" * room))
        yield home
        wait_until_gone(home)


@pytest.fixture
def hold() -> Iterator[Callable[..., Holder]]:
    """Starts holders of a home, and ends those that are left."""
    holders: list[Holder] = []

    def start(home: Home, *arguments: str) -> Holder:
        holders.append(Holder(home, *arguments))
        return holders[-1]

    yield start
    for holder in holders:
        holder.discard()


def servers_of(home: Home) -> set[int]:
    """Every server process of the home, found as a start would find leftovers."""
    places = {"postgres": home.postgres / "data", "valkey-server": home.valkey}
    return {pid for name, place in places.items() for pid in _by_working_directory(name, place)}


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def wait_until_gone(home: Home) -> None:
    wait_for(lambda: servers_of(home) == set(), seconds=5)


def log_of(home: Home) -> str:
    return home.logs.joinpath("postgres.log").read_text()


def start_again(home: Home) -> str:
    """Start and stop the servers once more; what Postgres logged while doing so."""
    before = len(log_of(home))
    with local_servers(home, options=FAST) as urls:
        connects(urls)
    return log_of(home)[before:]


def connects(urls: ServerUrls) -> None:
    with psycopg.connect(urls.writer) as connection, redis.Redis.from_url(urls.redis) as client:
        assert (connection.execute("select 1").fetchone(), client.ping()) == ((1,), True)


def test_what_was_written_is_there_after_a_restart(home: Home) -> None:
    with local_servers(home) as urls:
        with psycopg.connect(urls.owner) as connection:
            connection.execute("create table kept as select 42 as answer")
        with redis.Redis.from_url(urls.redis) as client:
            client.set("kept", 42)
    with local_servers(home) as again:
        assert again == urls
        with psycopg.connect(again.owner) as connection:
            assert connection.execute("table kept").fetchall() == [(42,)]
        with redis.Redis.from_url(again.redis) as client:
            assert client.get("kept") == b"42"
    assert running(home) is None


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells a process of its parent's death"
)
def test_killing_the_parent_stops_the_servers_cleanly(
    home: Home, hold: Callable[..., Holder]
) -> None:
    holder = hold(home)
    holder.url()
    (postgres,) = _by_command_line("postgres", home.postgres / "data")
    os.kill(postgres, signal.SIGSTOP)
    holder.process.kill()
    holder.process.wait()
    assert running(home) is None  # though what is left of it still takes connections
    os.kill(postgres, signal.SIGCONT)
    wait_until_gone(home)
    assert "database system is shut down" in log_of(home)
    assert running(home) is None
    assert "recovery" not in start_again(home)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, -2)])
def test_a_signal_to_the_group_stops_the_servers_in_order(
    home: Home, hold: Callable[..., Holder], number: signal.Signals, code: int
) -> None:
    holder = hold(home)
    holder.url()
    os.killpg(holder.process.pid, number)
    assert holder.end()[0] == code
    assert servers_of(home) == set()
    assert "database system is shut down" in log_of(home)
    assert not home.instance.exists()


def test_a_first_start_cut_short_anywhere_can_be_repeated(
    new_home: Home, hold: Callable[..., Holder]
) -> None:
    place = new_home.postgres
    for sign in (place / "data.partial/PG_VERSION", place / "data", place / ".s.PGSQL.5432"):
        holder = hold(new_home)
        wait_for(sign.exists)
        holder.process.kill()
        holder.process.wait()
    assert "recovery" not in start_again(new_home)
    assert {entry.name for entry in place.iterdir()} == {"data"}


def test_a_first_start_that_is_interrupted_leaves_no_process(
    new_home: Home, hold: Callable[..., Holder]
) -> None:
    holder = hold(new_home)
    wait_for((new_home.postgres / "data.partial/PG_VERSION").exists)
    os.killpg(holder.process.pid, signal.SIGINT)
    assert holder.end()[0] == -2
    assert _by_command_line("initdb", new_home.postgres) == {}
    assert servers_of(new_home) == set()
    assert not new_home.postgres.joinpath("password").exists()


def test_the_remains_of_a_killed_run_are_cleared(home: Home) -> None:
    with local_servers(home, options=FAST):
        kept = home.postgres.joinpath("data/postmaster.pid").read_text().splitlines()
    owner = home.postgres.joinpath("data").stat().st_uid
    other = subprocess.Popen(["sleep", "60"], **as_owner_of(home.postgres / "data"))
    kept[0] = str(other.pid)
    for path in ("postgres/data/postmaster.pid", "postgres/.s.PGSQL.5432.lock"):
        home.path.joinpath(path).write_text("\n".join(kept) + "\n")
        os.chown(home.path / path, owner, -1)
    for path in ("postgres/.s.PGSQL.5432", "valkey/valkey.sock", "postgres/password"):
        home.path.joinpath(path).touch()
    home.postgres.joinpath("data.partial").mkdir()
    Instance(other.pid, None, None).save(home, "postgresql://nobody@/nowhere")
    assert running(home) is None
    start_again(home)
    assert other.poll() is None
    other.kill()
    other.wait()
    assert {entry.name for entry in home.postgres.iterdir()} == {"data"}


def test_servers_that_outlived_their_owner_are_stopped_first(home: Home) -> None:
    data = home.postgres / "data"
    settings = ("-c", "listen_addresses=", "-c", f"unix_socket_directories={home.postgres}")
    orphan = subprocess.Popen(
        [postgres_binary("postgres"), "-D", data, *settings],
        **as_owner_of(data),
        cwd="/",
        stderr=subprocess.DEVNULL,
    )
    wait_for((home.postgres / ".s.PGSQL.5432").exists)
    # A process just forked has its parent's command line until it takes a title of its own.
    wait_for(lambda: set(_by_command_line("postgres", data)) == {orphan.pid})
    with local_servers(home, options=FAST) as urls:
        assert orphan.wait() == 0
        connects(urls)


def as_owner_of(path: Path) -> dict[str, Any]:
    """Arguments for Popen: the user whom a path belongs to, where that is another one."""
    status = path.stat()
    return {"user": status.st_uid, "group": status.st_gid} if os.geteuid() == 0 else {}


def test_processes_that_come_at_once_share_one_pair(
    new_home: Home, hold: Callable[..., Holder]
) -> None:
    holders = [hold(new_home) for _ in range(3)]
    assert len({holder.url() for holder in holders}) == 1
    assert len(_by_command_line("postgres", new_home.postgres / "data")) == 1
    for holder in holders:
        holder.leave()
    assert [holder.end()[0] for holder in holders] == [0, 0, 0]
    assert log_of(new_home).count("database system is ready to accept connections") == 1


def test_an_owner_waits_for_its_guest(home: Home, hold: Callable[..., Holder]) -> None:
    owner = hold(home)
    url = owner.url()
    with local_servers(home) as urls:
        owner.leave()
        assert owner.process.stderr is not None
        assert "waiting_for_guests" in owner.process.stderr.readline()
        assert urls.writer == url
        with local_servers(home) as late:
            connects(late)
        assert owner.process.poll() is None
    assert owner.end() == (0, "")


def test_an_impatient_owner_stops_at_once(home: Home, hold: Callable[..., Holder]) -> None:
    owner = hold(home, "hasty")
    owner.url()
    with local_servers(home):
        owner.leave()
        assert owner.end() == (0, "")
        with pytest.raises(ServerDied, match="start Tidemark again"):
            check(home)


def test_a_second_ctrl_c_ends_the_wait_for_guests(home: Home, hold: Callable[..., Holder]) -> None:
    owner = hold(home)
    owner.url()
    with local_servers(home) as urls:
        os.killpg(owner.process.pid, signal.SIGINT)
        assert owner.process.stderr is not None
        assert "waiting_for_guests" in owner.process.stderr.readline()
        connects(urls)
        os.killpg(owner.process.pid, signal.SIGINT)
        assert owner.end()[0] == -2
    assert log_of(home).count("database system is shut down") == 1


def test_who_comes_while_the_owner_stops_starts_them_anew(
    home: Home, hold: Callable[..., Holder]
) -> None:
    for _ in range(2):
        owner = hold(home, "hasty")
        owner.url()
        owner.leave()
        with local_servers(home, options=FAST) as urls:
            if owner.end() == (0, ""):
                continue
            connects(urls)
    assert "recovery" not in log_of(home)


def test_a_first_start_writes_nothing_outside_the_home(new_home: Home) -> None:
    folders = [new_home.path.parent, Path.home(), Path.cwd()]
    new_home.path.mkdir()
    before = [sorted(folder.iterdir()) for folder in folders]
    with local_servers(new_home, options=FAST) as urls:
        assert urls.redis.startswith("unix://")
        connects(urls)
    assert [sorted(folder.iterdir()) for folder in folders] == before

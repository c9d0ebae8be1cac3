"""How much room the folders have that a server writes to."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from prometheus_client import Gauge

from app.mirroring import mirror_folder
from app.observability import Metrics
from app.settings import Settings


class DiskMetrics:
    """A gauge of free bytes, by folder: `mirror`, `temporary`."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        """Has it refreshed before metrics are read."""
        self._folders = {"temporary": settings.temp_directory or Path(tempfile.gettempdir())}
        if settings.mirror:
            self._folders["mirror"] = mirror_folder(settings)
        self._gauge = Gauge(
            "disk_free_bytes",
            "Room left where a server writes: the folder of mirrors, and of temporary files.",
            ["folder"],
            multiprocess_mode="livemin",
            registry=metrics.registry,
        )
        metrics.refreshes.append(self.refresh)

    def refresh(self) -> None:
        """Sets the gauge to what is so now."""
        for name, folder in self._folders.items():
            with suppress(FileNotFoundError):  # a mirror's folder comes with its first file
                self._gauge.labels(name).set(shutil.disk_usage(folder).free)

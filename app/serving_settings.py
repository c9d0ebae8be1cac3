"""The settings of a process that serves: what they must hold besides, in the same one list."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from ipaddress import ip_address

from app.accounts.secret_key import UnsafeSecretKey, secret_key
from app.folders import unwritable
from app.settings import Contradiction, Settings


class ServingSettings(Settings):
    """Read by whatever serves the API, and by nothing else: an import needs no key to sign with."""

    def contradictions(self, unusable: Collection[str]) -> Iterator[Contradiction]:
        """See `Settings`; a key to sign with, who is let in without one, where to write."""
        yield from super().contradictions(unusable)
        # An address that can't be used was meant to be one: local servers are no answer to it.
        own_servers = self.database_url is None and "database_url" not in unusable
        if self.secret_key or not own_servers:
            try:
                secret_key(self)
            except UnsafeSecretKey as error:
                yield Contradiction(str(error).rstrip("."), ("secret_key",))
        if self.benchmark_token is not None and not _is_loopback(self.api_host):
            yield Contradiction(
                "BENCHMARK_TOKEN passes without a login, so it works on a loopback address only, "
                f"and API_HOST (--host) is {self.api_host!r}; unset it, or listen on 127.0.0.1",
                ("benchmark_token",),
            )
        yield from self._unwritable_folders()

    def _unwritable_folders(self) -> Iterator[Contradiction]:
        folders = {"mirror_directory": self.mirror_directory if self.mirror else None}
        if self.temp_directory is not None and self.temp_directory.is_dir():
            folders["temp_directory"] = self.temp_directory
        for name, folder in folders.items():
            if folder is not None and (why := unwritable(folder)):
                yield Contradiction(
                    f"{name.upper()}={str(folder)!r}: {why}; give this user that right, or name "
                    "another folder",
                    (name,),
                )


def _is_loopback(host: str) -> bool:
    """A name other than localhost may be anybody's tomorrow."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

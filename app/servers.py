"""Which Postgres and Redis a process uses: those named in its settings, or its own local ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from app.local.home import Home
from app.local.servers import ServerOptions, local_servers
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Servers:
    """Addresses, one a role, and where DuckDB may spill (None: the system's temporary folder).

    `redis` is None where only DATABASE_URL is set: what needs Redis then refuses.
    """

    owner: str
    writer: str
    reader: str
    redis: str | None
    spill: Path | None
    local: bool


@contextmanager
def servers(settings: Settings, *, wait_for_guests: bool = True) -> Iterator[Servers]:
    """The servers to use, running for as long as the block does.

    Local ones that another process of this data directory started are shared. Otherwise they are
    started here and stopped at the end; with `wait_for_guests`, once no other process uses them.

    Raises:
        TidemarkError: The local servers can't be started.
    """
    if settings.database_url is not None:
        yield given(settings)
        return
    options = ServerOptions(wait_for_guests=wait_for_guests)
    home = Home(settings.tidemark_home)
    with local_servers(home, options=options) as urls:
        spill = settings.temp_directory or home.path
        yield Servers(urls.owner, urls.writer, urls.reader, urls.redis, spill, local=True)


def given(settings: Settings) -> Servers:
    """The servers named in the settings; DATABASE_URL serves every role without an own address."""
    writer = _secret(settings.database_url)
    if writer is None:
        message = "given() needs DATABASE_URL; servers() starts local ones without it"
        raise ValueError(message)
    return Servers(
        owner=_secret(settings.database_owner_url) or writer,
        writer=writer,
        reader=_secret(settings.database_reader_url) or writer,
        redis=_secret(settings.redis_url),
        spill=settings.temp_directory,
        local=False,
    )


def _secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value is not None else None

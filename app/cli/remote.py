"""`tidemark import --url`: events through the API of a Tidemark elsewhere, with a key of it.

Files are read and validated here, as for a database, so that the report, the file of rejects and
all options are the same. Each batch is then one request, and there one transaction. A request that
is not answered is sent again: its rows are in the table once, but those that the lost one wrote
count as duplicates.
"""

from __future__ import annotations

import asyncio
import http.client
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import orjson
import pyarrow as pa
import typer

from analytics.errors import InvalidInput, Terminal
from analytics.events import ProjectId
from app.cli.importing import Loading
from app.media import PROJECT_HEADER
from ingest.commit import ContactLost
from ingest.copy import Written
from ingest.load import BATCH_ROWS, LoadOptions, load_into
from ingest.report import Report
from ingest.sources.source import Source

DEFAULT_PATH: Final = "/api"
TIMEOUT_SECONDS: Final = 120.0
_WAITS: Final = (0.0, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4)  # seconds before each attempt
_AGAIN: Final = {408, 500, 502, 503, 504}
_LATER: Final = 429
_MOST_PATIENT_SECONDS: Final = 60.0


class RemoteAway(ContactLost):
    """The server does not answer, or answers that it can't work just now."""

    code = "remote_away"
    who: ClassVar[str] = "The server"


class RemoteRefused(Terminal):
    """The server refuses the events."""

    code = "remote_refused"


class _Unanswered(Exception):
    """Worth another attempt, after so many seconds at least."""

    def __init__(self, why: str, seconds: float = 0.0, *, counts: bool = True) -> None:
        super().__init__(why)
        self.seconds = seconds
        self.counts = counts


@dataclass(frozen=True, slots=True)
class RemoteTarget:
    """Where events go: the project that a key of a Tidemark elsewhere is for."""

    url: str
    key: str

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Loading]:
        """Loads by requests.

        Raises:
            InvalidInput: The URL is none.
            RemoteRefused: The key is not taken.
            RemoteAway: Nobody answers.
        """
        writer = RemoteWriter(self.url, self.key)
        try:
            project_id = await writer.project()
            yield partial(_load, writer, project_id)
        finally:
            writer.close()


def remote_target(url: str, key: str | None, project: str | None, *, dry_run: bool) -> RemoteTarget:
    """The target that the options of `tidemark import` name.

    Raises:
        typer.BadParameter: They can't be meant together.
    """
    if key is None:
        raise typer.BadParameter("--url needs a key of that server: --key KEY, or TIDEMARK_KEY")
    if project is not None:
        raise typer.BadParameter("with --url the key says which project; leave --project out")
    if dry_run:
        raise typer.BadParameter("--dry-run needs the database; leave out --url, or --dry-run")
    return RemoteTarget(url, key)


async def _load(
    writer: RemoteWriter,
    project_id: ProjectId,
    source: Source,
    *,
    options: LoadOptions,
    **more: Any,
) -> Report:
    fitting = replace(
        options, batch_rows=min(options.batch_rows, BATCH_ROWS), encoder=encode_stream
    )
    return await load_into(writer, source, project_id=project_id, options=fitting, **more)


def encode_stream(_: ProjectId, events: pa.RecordBatch) -> bytes:
    """Events as a compressed Arrow stream; the key says whose they are."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, events.schema, options=options) as stream:
        stream.write_batch(events)
    content: bytes = sink.getvalue().to_pybytes()
    return content


class RemoteWriter:
    """Writes batches by POST /events, one connection, one request at a time."""

    def __init__(self, url: str, key: str) -> None:
        """Takes the address, with or without the path before /events.

        Raises:
            InvalidInput: It is no URL of http or https.
        """
        place = urlsplit(url)
        if place.scheme not in {"http", "https"} or not place.hostname:
            raise InvalidInput(f"{url!r} is no address; write one like http://host:8000")
        kind = (
            http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
        )
        self._connection = kind(place.hostname, place.port, timeout=TIMEOUT_SECONDS)
        self._address = f"{place.scheme}://{place.netloc}"
        self._path = f"{place.path.rstrip('/') or DEFAULT_PATH}/events"
        self._key = key

    async def project(self) -> ProjectId:
        """The number of the project that the key is for.

        Raises:
            RemoteRefused, RemoteAway: See `write`.
        """
        _, project_id = await self._answered(b"[]", "application/json")
        if project_id is None:
            raise RemoteRefused(f"What answers at {self._address} is no Tidemark of this version")
        return ProjectId(int(project_id))

    async def write(self, encoded: bytes, rows: int) -> Written:
        """Writes a batch that encode_stream made.

        Raises:
            RemoteRefused: The server takes neither these events nor any others by this key.
            RemoteAway: It gave no answer, again and again.
        """
        answer, _ = await self._answered(encoded, "application/vnd.apache.arrow.stream")
        if answer.get("rows") != rows:
            raise RemoteRefused(f"{self._address} answers for {answer.get('rows')} of {rows} rows")
        return Written(int(answer["inserted"]), staged=bool(answer["staged_batches"]))

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    async def _answered(self, body: bytes, media_type: str) -> tuple[dict[str, Any], str | None]:
        failure: _Unanswered | None = None
        attempts = iter(_WAITS)
        while (wait := next(attempts, None)) is not None:
            await asyncio.sleep(max(wait, failure.seconds if failure else 0.0))
            try:
                return await asyncio.to_thread(self._post, body, media_type)
            except _Unanswered as error:
                failure = error
                self._connection.close()
                if not error.counts:
                    attempts = iter(_WAITS)
        raise RemoteAway(f"{self._address} gives no answer: {failure}") from failure

    def _post(self, body: bytes, media_type: str) -> tuple[dict[str, Any], str | None]:
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": media_type}
        try:
            self._connection.request("POST", self._path, body, headers)
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise _Unanswered(str(error) or type(error).__name__) from error
        if answer.status == _LATER:
            raise _Unanswered(_detail(content), _seconds(answer), counts=False)
        if answer.status in _AGAIN:
            raise _Unanswered(_detail(content), _seconds(answer))
        if answer.status != http.client.OK:
            raise RemoteRefused(f"{self._address} answers {answer.status}: {_detail(content)}")
        document: dict[str, Any] = orjson.loads(content)
        return document, answer.getheader(PROJECT_HEADER)


def _seconds(answer: http.client.HTTPResponse) -> float:
    """What Retry-After asks for; it may be a date, which nobody but a proxy would send."""
    asked = answer.getheader("Retry-After", "0")
    seconds = float(asked) if asked.isdigit() else 1.0
    return min(seconds, _MOST_PATIENT_SECONDS) if math.isfinite(seconds) else 1.0


def _detail(content: bytes) -> str:
    """What a problem says, or the beginning of what isn't one."""
    try:
        return str(orjson.loads(content)["detail"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return content[:200].decode(errors="replace") or "nothing"

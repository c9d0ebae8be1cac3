"""A project in Postgres, as a library asks about it: through its own mirror, or live."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, Final

import psycopg
import pyarrow as pa

from analytics import statements
from analytics.answer import Answer, Meta, RowT_co
from analytics.calendar import local_date
from analytics.conninfo import place
from analytics.duck import DuckLimits
from analytics.engines.choose import Engines
from analytics.engines.mirrored import MirrorEngine
from analytics.errors import Unreachable
from analytics.mirror.errors import MirrorUnavailable
from analytics.mirror.keeper import Keeper
from analytics.mirror.plan import Plan, age
from analytics.mirror.sync import Synced
from analytics.project import Project
from analytics.questions.question import Question

OWN_STATEMENT: Final = "a statement of your own"

_LOOK_AGAIN_SECONDS: Final = 0.05
_FOR_STATEMENTS: Final = "mirror"


class Connected:
    """One project's events in Postgres. May be shared between threads."""

    def __init__(
        self,
        url: str,
        project: Project,
        mirror: Path | None,
        timeout: timedelta,
        limits: DuckLimits,
    ) -> None:
        """Takes a libpq URL, best of a role that may only read.

        `mirror` is the folder below which this process keeps a mirror in a folder of its own; a
        mirror is built in the background. None: every question is answered from live rows, and the
        first statement has a mirror built in a temporary folder, for statements only.

        Raises:
            MirrorUnavailable: the folder can't be made or written to.
        """
        self.project = project
        self._url = url
        self._timeout = timeout
        self._is_live = mirror is None
        self._starting = Lock()
        self._is_started = False
        with ExitStack() as undo:
            spill = Path(undo.enter_context(TemporaryDirectory(prefix="tidemark-library-")))
            self._folder = mirror or spill / _FOR_STATEMENTS
            self._keeper = Keeper(Plan(folder=self._folder, reader=url, limits=limits))
            undo.callback(self._keeper.close)
            if not self._is_live:
                self._start()
            self._engines = Engines.connect(
                url,
                timeout=timeout,
                spill=spill,
                limits=limits,
                keeper=None if self._is_live else self._keeper,
            )
            undo.callback(self._engines.close)
            self._undo = undo.pop_all()

    def answer(self, question: Question[RowT_co], engine: str | None) -> Answer[RowT_co]:
        """See `Engines.answer`."""
        return self._engines.answer(question, engine)

    def today(self) -> date:
        """The project's local date."""
        return local_date(self.project.timezone, datetime.now(UTC))

    def sync(self) -> None:
        """Wait until there is a mirror, and bring it up to date; where rows are live do nothing.

        Raises:
            MirrorUnavailable: there is still none when the time limit has passed.
            Unreachable: Postgres doesn't answer.
        """
        if not self._is_live:
            self._synced()

    def statement(
        self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] | None
    ) -> tuple[pa.Table, Meta]:
        """The rows of an analyst's statement, from the mirror as of now.

        Raises:
            InvalidSql: see `statements.run`.
            MirrorUnavailable, Unreachable, DeadlineExceeded: as for `sync` and `answer`.
        """
        started = time.perf_counter()
        self._start()
        synced = self._synced()
        # The limit outside is the wider one, so that the statement's own speaks first.
        with self._keeper.store().reading(self._timeout * 2) as (cursor, state):
            as_of = (synced.as_of if synced.horizon == state.horizon else None) or state.as_of
            table = statements.run(cursor, sql, parameters, self.project.id, self._timeout)
        if as_of is None:
            raise MirrorUnavailable(
                "transactions were under way when the mirror was built, and how new it is isn't "
                "known before they end; ask again",
                cause="unsettled",
            )
        elapsed_ms = (time.perf_counter() - started) * 1000
        lag = round(age(as_of, datetime.now(UTC)) or 0.0, 3)
        return table, Meta(MirrorEngine.name, OWN_STATEMENT, as_of, elapsed_ms, lag)

    def close(self) -> None:
        """Close connections and the mirror's file; a mirror in a lasting folder stays there."""
        self._undo.close()

    def _start(self) -> None:
        """Begin to keep the mirror, unless that has begun."""
        with self._starting:
            if self._is_started:
                return
            try:
                self._keeper.start()
            except OSError as error:
                raise MirrorUnavailable(
                    f"a mirror can't be kept in {self._folder}: {error.strerror}; name another "
                    "folder (mirror=...), or connect with mirror=False",
                    cause="disk",
                ) from error
            self._is_started = True

    def _synced(self) -> Synced:
        ends = time.monotonic() + self._timeout.total_seconds()
        while True:
            try:
                with self._explained():
                    return self._keeper.sync()
            except MirrorUnavailable as error:
                if self._keeper.status.failed or time.monotonic() >= ends:
                    raise MirrorUnavailable(
                        f"{error}; ask again, or connect with a longer timeout_seconds",
                        cause=error.cause,
                    ) from error
            time.sleep(_LOOK_AGAIN_SECONDS)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except psycopg.OperationalError as error:
            raise Unreachable(
                f"Postgres at {place(self._url)} can't be read: {str(error).splitlines()[0]}; "
                "see that it runs and ask again"
            ) from error

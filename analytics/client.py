"""Analytics: what a script or a notebook imports. Ask, look, save; no event loop, no web framework.

    from analytics import Analytics

    with Analytics.connect() as shop:
        shop.dau("2025-08-01", "2025-08-31").plot()

    Analytics.from_parquet("events.parquet").retention().save("retention.html")

docs/library.md shows it all.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Final, Self, Unpack

from analytics.calendar import FIRST_DAY, day_number, day_of_number, parse_day
from analytics.connected import Connected
from analytics.duck import DuckLimits
from analytics.errors import Closed, InvalidQuestion
from analytics.file import source as sources
from analytics.file.load import Loaded
from analytics.file.reading import Options, Reading
from analytics.file.source import PathLike, Source
from analytics.held import Held
from analytics.local_instance import reader_url
from analytics.project import Project
from analytics.project_lookup import find_project
from analytics.questions.dau import Dau
from analytics.questions.day_range import DayRange, check_day
from analytics.questions.retention import DEFAULT_WINDOW, Retention
from analytics.questions.top_events import DEFAULT_LIMIT, TopEvents
from analytics.results.dau import DauResult
from analytics.results.retention import RetentionResult
from analytics.results.statement import StatementResult
from analytics.results.top_events import TopEventsResult

DEFAULT_DAYS: Final = 30
"""How many days are asked about when none are named."""

DEFAULT_COHORTS: Final = 12
"""How many weekly cohorts, that of today included."""

_PATIENCE_SECONDS: Final = 60.0
# Below the data directory, apart from the servers': a notebook must not take a server's warm file.
_MIRRORS: Final = "notebooks"


class Analytics:
    """One project's events, and questions about them. May be shared between threads.

    Made by `connect` or one of the `from_...`. Close it, or use it as a context manager; one that
    is forgotten closes itself when it is collected or the process ends.
    """

    def __init__(self, backend: Connected | Held, resources: ExitStack) -> None:
        """Takes what answers, and what to close in the end, the backend among it."""
        self._backend = backend
        self._finalizer = weakref.finalize(self, resources.close)

    @classmethod
    def connect(
        cls,
        url: str | None = None,
        project: str | None = None,
        home: PathLike = ".tidemark",
        *,
        mirror: bool | PathLike = True,
        timeout_seconds: float = _PATIENCE_SECONDS,
        limits: DuckLimits | None = None,
    ) -> Self:
        """The project of this name, or the only one, of a Postgres.

        Without `url` that is the Tidemark that runs in the data directory `home`; no environment is
        read. With mirror=True this process keeps a columnar mirror of its own, which is built in
        the background and makes answers fast; live rows answer meanwhile, exactly. Its files lie in
        `home`, or, with a `url`, in a temporary folder; a folder given as `mirror` keeps them for
        the next time. Several notebooks may share one: each takes a folder of its own in it. With
        mirror=False all questions are answered from live rows, and nothing is kept, unless by
        `sql`: its first statement has a mirror built in a temporary folder.

        Raises:
            Unreachable: nothing runs there, Postgres doesn't answer or doesn't let us in.
            UnknownProject: there is no such project, or several and none is named.
            InvalidInput: the URL is none.
            MirrorUnavailable: the mirror's folder can't be made or written to.
        """
        place = Path(home).expanduser().absolute()
        found_url = reader_url(place) if url is None else url
        found = find_project(found_url, project)
        with ExitStack() as resources:
            folder = _mirror_folder(mirror, None if url else place, resources)
            timeout = timedelta(seconds=timeout_seconds)
            backend = Connected(found_url, found, folder, timeout, limits or DuckLimits())
            resources.callback(backend.close)
            return cls(backend, resources.pop_all())

    @classmethod
    def from_parquet(cls, path: PathLike, **options: Unpack[Options]) -> Self:
        """The events of a Parquet file, or of all files that a pattern matches, without Postgres.

        See `Options` for the keywords, and `analytics.file.columns` for the columns it must have.

        Raises:
            InvalidInput: there is no file, it can't be read, lacks a column (the message lists
                what it found, and how to map), or has rows that are no events.
            UnknownZone: a time zone has no IANA name.
        """
        return cls._of(sources.parquet(path), options)

    @classmethod
    def from_csv(cls, path: PathLike, **options: Unpack[Options]) -> Self:
        """The same of CSV with a header, plain or in gzip or zstd. See `from_parquet`."""
        return cls._of(sources.csv(path), options)

    @classmethod
    def from_arrow(cls, table: object, **options: Unpack[Options]) -> Self:
        """The same of an Arrow table, a reader, or whatever else speaks Arrow. See `from_parquet`.

        A reader is read to its end.
        """
        return cls._of(sources.arrow(table, options.get("columns", {})), options)

    @classmethod
    def from_pandas(cls, frame: Any, **options: Unpack[Options]) -> Self:
        """The same of a pandas data frame; its index isn't read. See `from_parquet`."""
        return cls._of(sources.pandas(frame, options.get("columns", {})), options)

    @classmethod
    def from_polars(cls, frame: Any, **options: Unpack[Options]) -> Self:
        """The same of a Polars data frame or lazy frame. See `from_parquet`."""
        collected = frame.collect() if hasattr(frame, "collect") else frame
        columns = options.get("columns", {})
        return cls._of(sources.arrow(collected, columns, "a data frame"), options)

    @classmethod
    def _of(cls, source: Source, options: Options) -> Self:
        with ExitStack() as resources:
            held = Held(source, Reading(**options), timedelta(seconds=_PATIENCE_SECONDS))
            resources.callback(held.close)
            return cls(held, resources.pop_all())

    @property
    def project(self) -> Project:
        """Whose events are asked about, and by which calendar."""
        return self._backend.project

    @property
    def loaded(self) -> Loaded | None:
        """What became of a file's rows; None where Postgres is asked."""
        return self._backend.loaded if isinstance(self._backend, Held) else None

    def today(self) -> date:
        """The day that questions take for today when none is named.

        The project's local date or, of a file, the day of its last event. Raises Closed.
        """
        return self._open().today()

    def dau(
        self,
        first: date | str | None = None,
        last: date | str | None = None,
        *,
        engine: str | None = None,
    ) -> DauResult:
        """Distinct users of each local day from `first` to `last`, both included.

        Days are dates or texts like "2025-08-01". By default the thirty days up to today, or, of a
        file, up to its last event. `engine` names who is to answer: mirror, attached, postgres or,
        of a file, file.

        Raises:
            InvalidQuestion: the range is turned round, or too long.
            UnknownEngine, MirrorUnavailable: the engine asked for can't be had.
            Unreachable, DeadlineExceeded: Postgres doesn't answer, or not in time.
            Closed: this connection was closed.
        """
        question = Dau(self.project, self._days(first, last))
        answer = self._open().answer(question, engine)
        return DauResult(question, answer.rows, answer.meta)

    def top_events(
        self,
        first: date | str | None = None,
        last: date | str | None = None,
        limit: int = DEFAULT_LIMIT,
        *,
        engine: str | None = None,
    ) -> TopEventsResult:
        """The most frequent event types of these local days, at most `limit`. See `dau`."""
        question = TopEvents(self.project, self._days(first, last), limit)
        answer = self._open().answer(question, engine)
        return TopEventsResult(question, answer.rows, answer.meta)

    def retention(
        self,
        start_date: date | str | None = None,
        window: int = DEFAULT_WINDOW,
        *,
        today: date | str | None = None,
        engine: str | None = None,
    ) -> RetentionResult:
        """How well the weekly cohorts from the week of `start_date` on come back.

        Each cohort has `window` weeks, its own included. By default the twelve cohorts up to
        `today`, which by default is the project's local date or, of a file, the day of its last
        event. Weeks that begin after `today` are unknown. Raises what `dau` does.
        """
        seen_from = self.today() if today is None else _day("today", today)
        start = (
            _days_before(seen_from, 7 * (DEFAULT_COHORTS - 1))
            if start_date is None
            else _day("start_date", start_date)
        )
        question = Retention(self.project, start, seen_from, window)
        answer = self._open().answer(question, engine)
        return RetentionResult(question, answer.rows, answer.meta)

    def sql(
        self, statement: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None
    ) -> StatementResult:
        """One statement that reads, in DuckDB's SQL, over views of this project's events.

        The views are events, users, user_days, event_counts, active_users and cohort_users, see
        docs/library.md. `parameters` are the values for `?` or for `$name`. It sees every event
        that was committed before, has a connection of its own, reaches no file and no network, and
        is stopped after this connection's time limit.

        Raises:
            InvalidSql: it isn't one statement that only reads, or DuckDB refuses it.
            MirrorUnavailable: the mirror isn't built within the time limit.
            Unreachable, DeadlineExceeded, Closed: as for `dau`.
        """
        table, meta = self._open().statement(statement, parameters)
        return StatementResult(table, meta)

    def sync(self) -> None:
        """Wait until the mirror is built, and bring it up to date; elsewhere do nothing.

        No answer needs it: it is for measuring. Raises what `sql` does.
        """
        self._open().sync()

    def close(self) -> None:
        """Give back connections, threads and memory. Calling it twice is fine."""
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        """What a terminal shows."""
        project = self.project
        state = "" if self._finalizer.alive else ", closed"
        held = f", {self.loaded.events:,} events" if self.loaded else ""
        return f"<Analytics of {project.name!r}, {project.timezone}{held}{state}>"

    def _open(self) -> Connected | Held:
        if not self._finalizer.alive:
            raise Closed
        return self._backend

    def _days(self, first: date | str | None, last: date | str | None) -> DayRange:
        end = self.today() if last is None else _day("last", last)
        begin = _days_before(end, DEFAULT_DAYS - 1) if first is None else _day("first", first)
        return DayRange(begin, end)


def _day(field: str, day: date | str) -> date:
    if not isinstance(day, str):
        check_day(field, day)
        return day
    try:
        return parse_day(day)
    except ValueError as error:
        raise InvalidQuestion(f"{field} is {error}", field=field) from error


def _days_before(day: date, days: int) -> date:
    """So many days earlier, or the first day that can be asked about."""
    return day_of_number(max(day_number(day) - days, day_number(FIRST_DAY)))


def _mirror_folder(
    mirror: bool | PathLike,
    home: Path | None,
    resources: ExitStack,
) -> Path | None:
    if mirror is False:
        return None
    if mirror is not True:
        return Path(mirror).expanduser().absolute()
    if home is not None:
        return home / _MIRRORS
    made = TemporaryDirectory(prefix="tidemark-mirror-", ignore_cleanup_errors=True)
    return Path(resources.enter_context(made))

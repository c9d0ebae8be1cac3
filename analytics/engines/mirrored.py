"""The engine `mirror`: the columnar copy, minus what was removed since, plus what came since.

Each question reads the mirror's state first, which pins what it sees of the file, and then takes
one look at Postgres, which says whether that state may be believed and what lies above it. The
roll-ups answer for the project's own calendar, raw columns for any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any, Final, LiteralString, cast

import psycopg

from analytics.answer import Answer, Meta, RowT_co
from analytics.engines.protocol import TIMEOUT, Freshness, Tracer
from analytics.errors import DeadlineExceeded, Unreachable
from analytics.mirror import calendars, changes
from analytics.mirror.calendars import DEFAULT, Calendar
from analytics.mirror.errors import MirrorBroken, MirrorUnavailable
from analytics.mirror.keeper import Keeper
from analytics.mirror.look import Look, TailTooLong, look
from analytics.mirror.plan import age
from analytics.mirror.state import State
from analytics.mirror.store import Cursor, Store
from analytics.questions.question import Question, Value
from analytics.sql import statement
from analytics.sql.local_time import offset_us

ROLLUP: Final = "the mirror's roll-ups"
RAW: Final = "the mirror's raw columns: another calendar than its roll-ups'"

BY_BITS: Final = frozenset({"dau", "retention"})
"""Questions that count distinct users: each period's users as a string of bits, one a user."""

MOST_BITS: Final = 2**29
"""For all periods of a question, in each thread: 64 MiB. Past that users are hashed."""

_LARGEST_KEY: Final = "select coalesce(max(user_key), 0) from users"
_PARAMETER: Final = re.compile(r"\$(\w+)")
_CALENDAR: Final = """/* tidemark mirror calendar */
select timezone, week_start, tzdata, changed_at from calendars where project_id = ?"""

_GRAIN: Final = re.compile(r"\bgrain = '(\w+)'")


@dataclass(frozen=True, slots=True)
class _Sight:
    """What one question sees: the file in one state, and Postgres above it, if it was looked at."""

    cursor: Cursor
    state: State
    calendar: Calendar | None
    changed_at: int
    look: Look | None

    @property
    def data_version(self) -> str | None:
        """The same text as long as nothing of the project changes that a question could see.

        With nothing above the tidemark it is the file and the tidemark of the project's latest
        change in it. Else it is the tidemark itself with what came and went above it: below one
        tidemark each change of the project adds at least one to rows + 2 * removals. The project's
        latest change won't do there: an event that came and went between two tidemarks leaves none.
        Not known without a look.
        """
        if self.look is None:
            return None
        rows, removals = self.look.rows, self.look.removals
        since = self.state.horizon if rows or removals else self.changed_at
        return f"{self.state.mirror_id.hex}.{since}.{rows}.{removals}"


class MirrorEngine:
    """Answers from the mirror that a keeper keeps; the keeper stays its owner's to close."""

    name: Final = "mirror"

    def __init__(
        self, keeper: Keeper, *, timeout: timedelta = TIMEOUT, tracer: Tracer | None = None
    ) -> None:
        """Takes a started keeper."""
        self._keeper = keeper
        self._timeout = timeout
        self._tracer = tracer

    def answer(
        self, question: Question[RowT_co], freshness: Freshness = Freshness.EXACT
    ) -> Answer[RowT_co]:
        """See `Engine.answer`.

        Raises:
            MirrorUnavailable: there is no mirror just now, or it is too far behind.
        """
        started = perf_counter()
        try:
            return self._answer(question, freshness, started)
        except TailTooLong:
            with self._explained(self._keeper.store()):
                self._keeper.sync()
            return self._answer(question, freshness, started)

    def version(self, question: Question[Any]) -> Meta | None:
        """See `Engine.version`."""
        started = perf_counter()
        with self._sight(question, Freshness.EXACT) as sight:
            return self._meta(sight, ROLLUP, started)

    def explain(self, question: Question[RowT_co]) -> str:
        """See `Engine.explain`."""
        with self._sight(question, Freshness.MIRROR) as sight:
            sql, parameters, _ = _compiled(question, sight)
            plan = sight.cursor.execute("explain " + sql, parameters).fetchall()
        return "\n".join(str(text) for _, text in plan)

    def ping(self) -> None:
        """See `Engine.ping`.

        Raises:
            MirrorUnavailable: there is no mirror just now.
        """
        self._keeper.store()

    def close(self) -> None:
        """See `Engine.close`; the keeper stays open."""

    def _answer(
        self, question: Question[RowT_co], freshness: Freshness, started: float
    ) -> Answer[RowT_co]:
        with self._sight(question, freshness) as sight:
            sql, parameters, reason = _compiled(question, sight)
            if sight.look and (sight.look.rows or sight.look.removals):
                _find_changes(sight, question, sql)
            found = self._run(sight.cursor, sql, parameters)
            meta = self._meta(sight, reason, started)
        rows = question.rows(found)
        return Answer(rows, meta)

    @contextmanager
    def _sight(self, question: Question[Any], freshness: Freshness) -> Iterator[_Sight]:
        store = self._keeper.store()
        project_id = question.project.id
        with self._explained(store), store.reading(self._timeout) as (cursor, state):
            row = cursor.execute(_CALENDAR, [project_id]).fetchone()
            *calendar, changed_at = row or (None, 0)
            stamp = Calendar(*calendar) if row else None
            if freshness is Freshness.MIRROR:
                yield _Sight(cursor, state, stamp, changed_at, None)
                return
            sessions = self._keeper.sessions
            with look(sessions, state, project_id, self._timeout) as seen:
                yield _Sight(cursor, state, stamp, changed_at, seen)

    @contextmanager
    def _explained(self, store: Store) -> Iterator[None]:
        """Errors as those that every engine raises; a broken mirror is given up."""
        try:
            yield
        except MirrorBroken as error:
            self._keeper.give_up(error, store)
            raise
        except psycopg.errors.QueryCanceled as error:
            raise DeadlineExceeded(
                f"Postgres stopped the query: its limit is {self._timeout.total_seconds():g} s; "
                "ask for a shorter range or raise the limit"
            ) from error
        except psycopg.OperationalError as error:
            raise Unreachable(
                f"Postgres can't be read: {str(error).splitlines()[0]}; "
                "see that it runs and ask again"
            ) from error

    def _meta(self, sight: _Sight, reason: str, started: float) -> Meta:
        if sight.look:
            as_of, lag = sight.look.as_of, 0.0
        else:
            latest = self._keeper.status.latest
            known = latest.as_of if latest and latest.horizon == sight.state.horizon else None
            settled = known or sight.state.as_of
            if settled is None:
                raise MirrorUnavailable(
                    "transactions were under way when the mirror was built, and how new it is "
                    "isn't known before they end; ask for freshness exact",
                    cause="unsettled",
                )
            as_of, lag = settled, age(settled, datetime.now(UTC)) or 0.0
        elapsed = (perf_counter() - started) * 1000
        return Meta(self.name, reason, as_of, elapsed, round(lag, 3), sight.data_version)

    def _run(
        self, cursor: Cursor, sql: LiteralString, parameters: Mapping[str, Value]
    ) -> Sequence[Sequence[Any]]:
        started = perf_counter()
        rows = cursor.execute(sql, dict(parameters)).fetchall()
        if self._tracer:
            self._tracer(sql, parameters, (perf_counter() - started) * 1000, len(rows))
        return rows


def _find_changes(sight: _Sight, question: Question[Any], sql: str) -> None:
    """Temporary tables of what lies above the tidemark, before the empty ones of the file."""
    assert sight.look is not None  # noqa: S101 - the caller has looked
    zone = (sight.calendar or DEFAULT).timezone
    zones = {int(question.project.id): zone}
    added, removed = sight.look.added(), sight.look.removed()
    sight.cursor.register("batch", changes.batch(added, removed, zones))
    grains = sorted(set(_GRAIN.findall(sql)))
    if "active_changes" in sql:
        changes.find_active_changes(sight.cursor, grains)
    if "cohort_changes" in sql:
        changes.find_cohort_changes(sight.cursor, grains)
    if "type_changes" in sql:
        changes.find_type_changes(sight.cursor)
    if re.search(r"\bchanged\b", sql):
        changes.find_changed(sight.cursor)


def _compiled(
    question: Question[Any], sight: _Sight
) -> tuple[LiteralString, Mapping[str, Value], str]:
    """The statement, what it names of the question's parameters, and why it is this statement.

    The one rule between them: roll-ups, if they are by the question's calendar; else raw columns,
    by strings of bits where these take little memory.
    """
    given = {name: _plain(value) for name, value in question.parameters().items()}
    users, reason = 0, RAW
    if sight.calendar == calendars.of_project(question.project):
        name, reason = question.name, ROLLUP
    else:
        users = _largest_key(sight.cursor)
        by_bits = question.name in BY_BITS and _periods(given) * users <= MOST_BITS
        name = f"{question.name}.{'bits' if by_bits else 'raw'}"
    template = statement(MirrorEngine.name, name)
    # Whole numbers, and what is made of them: neither can be bound where it stands.
    sql = template.replace("{users}", f"{users:d}")
    if "{offset_us}" in template:
        begins_at, seconds = (
            cast("Sequence[int]", given[name]) for name in ("offset_begins", "offset_seconds")
        )
        sql = sql.replace("{offset_us}", offset_us(begins_at, seconds))
    return sql, {name: given[name] for name in set(_PARAMETER.findall(template))}, reason


def _largest_key(cursor: Cursor) -> int:
    row = cursor.execute(_LARGEST_KEY).fetchone()
    assert row is not None  # noqa: S101 - an aggregate without groups has one row
    return int(row[0])


def _periods(given: Mapping[str, Value]) -> int:
    """How many days or weeks a question asks about."""
    starts = given.get("day_starts") or given.get("week_starts")
    return len(cast("Sequence[datetime]", starts))


def _plain(value: Value) -> Value:
    """Instants without their zone: the file holds plain UTC, and arithmetic on zones is slow."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None)
    return value

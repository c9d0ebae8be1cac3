"""The engine `mirror`: the columnar copy, minus what was removed since, plus what came since.

Each question first fixes what it sees of the file, and then takes one look at Postgres, which says
whether that may be believed and what lies above it. The roll-ups answer for the project's own
calendar, raw columns for any other. An answer from roll-ups takes about as long as the look, so
both are under way at once: mostly nothing lies above, and the answer stands. One after the other
they cost less of the processor, but whoever asks waits for longer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any, Final, LiteralString, TypeVar, cast

import psycopg

from analytics.answer import Answer, Meta, RowT_co
from analytics.duck import written
from analytics.engines.added import added_rows, columns_to_read, register_changed
from analytics.engines.protocol import TIMEOUT, Freshness, Tracer
from analytics.engines.seen import Seen, first_seen, last_seen
from analytics.errors import DeadlineExceeded, Unreachable
from analytics.mirror.calendars import of_project
from analytics.mirror.errors import MirrorBroken, MirrorUnavailable, Overtaken
from analytics.mirror.keeper import Keeper
from analytics.mirror.known import Known, Rows
from analytics.mirror.look import TailTooLong, look
from analytics.mirror.looks import Looks
from analytics.mirror.plan import age
from analytics.mirror.store import Cursor, Store
from analytics.questions.question import Question, Value
from analytics.sql import statement
from analytics.sql.local_time import offset_us

Found = TypeVar("Found", bound=Sequence[Sequence[Any]] | None)

ROLLUP: Final = "the mirror's roll-ups"
RAW: Final = "the mirror's raw columns: another calendar than its roll-ups'"

BY_BITS: Final = frozenset({"dau", "retention"})
"""Questions that count distinct users: each period's users as a string of bits, one a user."""

MOST_BITS: Final = 2**29
"""For all periods of a question, in each thread: 64 MiB. Past that users are hashed."""

_LARGEST_KEY: Final = "select coalesce(max(user_key), 0) from users"
_EVERY_ROW: Final = 2**31 - 1
_TRIES: Final = 3
_PARAMETER: Final = re.compile(r"\$(\w+)")


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A statement, what it names of the question's parameters, and why it is this statement."""

    sql: LiteralString
    parameters: Mapping[str, Value]
    reason: str

    @property
    def written(self) -> str:
        """The statement with its parameters in their places."""
        return written(self.sql, self.parameters)


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
        self._looks = Looks(keeper.sessions, timeout)

    def answer(
        self, question: Question[RowT_co], freshness: Freshness = Freshness.EXACT
    ) -> Answer[RowT_co]:
        """See `Engine.answer`.

        Raises:
            MirrorUnavailable: there is no mirror just now, or it is too far behind.
        """
        started = perf_counter()
        if freshness is Freshness.MIRROR:
            self._keeper.require_awake()
        try:
            return self._answer_in_the_end(question, freshness, started)
        except TailTooLong:
            with self._explained(self._keeper.store()):
                self._keeper.sync()
            return self._answer_in_the_end(question, freshness, started)

    def version(self, question: Question[Any]) -> Meta | None:
        """See `Engine.version`."""
        started = perf_counter()
        store, project_id = self._keeper.store(), question.project.id
        known = store.known
        last = last_seen(known, project_id)
        if known and last:
            with self._explained(store):
                above = self._looks.soon(known.state, project_id).result()
                return self._meta(last.with_look(above), ROLLUP, started)
        with self._seeing(question, Freshness.EXACT) as (_, seen):
            return self._meta(seen, ROLLUP, started)

    def explain(self, question: Question[RowT_co]) -> str:
        """See `Engine.explain`."""
        with self._seeing(question, Freshness.MIRROR) as (cursor, seen):
            compiled = _compiled(question, seen, cursor)
            plan = cursor.execute(f"explain {compiled.written}").fetchall()
        return "\n".join(str(text) for _, text in plan)

    def ping(self) -> None:
        """See `Engine.ping`.

        Raises:
            MirrorUnavailable: there is no mirror just now.
        """
        self._keeper.store()

    def close(self) -> None:
        """See `Engine.close`; the keeper stays open."""
        self._looks.close()

    def _answer_in_the_end(
        self, question: Question[RowT_co], freshness: Freshness, started: float
    ) -> Answer[RowT_co]:
        """The answer of the first try that no large commit has overtaken."""
        for _ in range(_TRIES - 1):
            with suppress(Overtaken):
                return self._answer(question, freshness, started)
        return self._answer(question, freshness, started)

    def _answer(
        self, question: Question[RowT_co], freshness: Freshness, started: float
    ) -> Answer[RowT_co]:
        glimpsed = self._glimpse(question, freshness, started)
        if glimpsed is not None:
            return glimpsed
        with self._seeing(question, freshness, reads=True) as (cursor, seen):
            compiled = _compiled(question, seen, cursor)
            added: Rows = []
            if seen.has_changes and compiled.reason == ROLLUP:
                added = added_rows(cursor, seen, question)
            elif seen.has_changes:
                register_changed(cursor, seen, question.project)
            found = self._traced(compiled, lambda: cursor.execute(compiled.written).fetchall())
            meta = self._meta(seen, compiled.reason, started)
        return Answer(question.rows(found + added), meta)

    def _glimpse(
        self, question: Question[RowT_co], freshness: Freshness, started: float
    ) -> Answer[RowT_co] | None:
        """The answer as it mostly is: by roll-ups, with nothing above the tidemark.

        Then one statement is enough, and takes as long as the look: both are under way at once.
        None where it isn't so, or a sync came between.
        """
        store, project_id = self._keeper.store(), question.project.id
        known = store.known
        seen = last_seen(known, project_id)
        if (
            not known
            or not seen
            or seen.has_changes
            or seen.calendar != of_project(question.project)
        ):
            return None
        compiled = _compiled(question, seen)
        with self._explained(store):
            exact = freshness is Freshness.EXACT
            looking = self._looks.soon(known.state, project_id) if exact else None
            found = self._traced(
                compiled, lambda: store.glimpse(known, compiled.written, self._timeout)
            )
            if found is None:
                return None
            seen = seen.with_look(looking.result() if looking else None)
            if seen.has_changes:
                known.projects[project_id] = seen
                return None
            meta = self._meta(seen, compiled.reason, started)
        return Answer(question.rows(found), meta)

    @contextmanager
    def _seeing(
        self, question: Question[Any], freshness: Freshness, *, reads: bool = False
    ) -> Iterator[tuple[Cursor, Seen]]:
        """A cursor that sees the file in one state, and what the question sees.

        One that `reads` is going to ask for the events above the tidemark, if there are any.
        """
        store, project_id = self._keeper.store(), question.project.id
        with (
            self._explained(store),
            store.courtesy.asked(),
            store.reading(self._timeout) as (cursor, state),
        ):
            known = store.known or Known(state)
            # Of another state it is nobody's to know: what is left in it is for nobody.
            projects = known.projects if known.state is state else {}
            seen: Seen = projects.get(project_id) or first_seen(
                cursor, state, store.users, project_id
            )
            projects[project_id] = seen
            if freshness is Freshness.MIRROR:
                yield cursor, seen.with_look(None)
                return
            columns = columns_to_read(seen, question) if reads else ()
            with look(
                self._keeper.sessions, state, project_id, self._timeout, columns=columns
            ) as above:
                seen = seen.with_look(above)
                projects[project_id] = replace(seen, look=above.numbers)
                yield cursor, seen

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

    def _meta(self, seen: Seen, reason: str, started: float) -> Meta:
        if seen.look:
            as_of, lag = seen.look.as_of, 0.0
        else:
            latest = self._keeper.status.latest
            known = latest.as_of if latest and latest.horizon == seen.state.horizon else None
            settled = known or seen.state.as_of
            if settled is None:
                raise MirrorUnavailable(
                    "transactions were under way when the mirror was built, and how new it is "
                    "isn't known before they end; ask for freshness exact",
                    cause="unsettled",
                )
            as_of, lag = settled, age(settled, datetime.now(UTC)) or 0.0
        elapsed = (perf_counter() - started) * 1000
        return Meta(self.name, reason, as_of, elapsed, round(lag, 3), seen.data_version)

    def _traced(self, compiled: _Compiled, run: Callable[[], Found]) -> Found:
        """What `run` finds by the statement, told to the tracer."""
        started = perf_counter()
        found = run()
        if self._tracer and found is not None:
            milliseconds = (perf_counter() - started) * 1000
            self._tracer(compiled.sql, compiled.parameters, milliseconds, len(found))
        return found


def _compiled(question: Question[Any], seen: Seen, cursor: Cursor | None = None) -> _Compiled:
    """The one rule: roll-ups, if they are by the question's calendar; else raw columns.

    Those by strings of bits, where these take little memory. The file is asked how many users there
    are, so raw columns need a cursor.
    """
    given = question.parameters()
    users, reason = 0, RAW
    if seen.calendar == of_project(question.project):
        name, reason = question.name, ROLLUP
    else:
        assert cursor is not None  # noqa: S101 - see above
        users = _largest_key(cursor)
        by_bits = question.name in BY_BITS and _periods(given) * users <= MOST_BITS
        name = f"{question.name}.{'bits' if by_bits else 'raw'}"
    template = statement(MirrorEngine.name, name)
    # What is made of several values has no name of its own.
    sql = template.replace("{users}", f"{users:d}")
    if "{offset_us}" in template:
        begins_at, seconds = (
            cast("Sequence[int]", given[name]) for name in ("offset_begins", "offset_seconds")
        )
        sql = sql.replace("{offset_us}", offset_us(begins_at, seconds))
    named = {name: _plain(given[name]) for name in set(_PARAMETER.findall(template))}
    if reason == ROLLUP and seen.has_changes and "limit" in named:
        # What lies above may bring up any row; the question cuts them off behind it.
        named["limit"] = _EVERY_ROW
    return _Compiled(sql, named, reason)


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

"""What one would do in a script: the same questions to a Parquet file, in plain DuckDB or Polars.

Nothing is kept between questions; each reads the file anew, as the script would. Days and weeks are
UTC's, weeks begin on Monday. Both answer in the compact form that `Question.rows` takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from functools import singledispatch
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import duckdb

from analytics.questions.dau import Dau
from analytics.questions.question import Question
from analytics.questions.retention import Retention
from analytics.questions.top_events import TopEvents

Found = Iterable[Sequence[Any]]

# A cast of an instant to a date asks the calendar library for each row: a million take 0.8 s more.
_EVENTS: Final = """
    with events as (
        select user_id, event_type, make_timestamp(epoch_us(occurred_at))::date as day
        from read_parquet($path)
    )"""
_SQL: Final = {
    Dau.name: """
    select day - $first as number, count(distinct user_id)
    from events where day between $first and $last group by number""",
    TopEvents.name: """
    select event_type, count(*) as found
    from events where day between $first and $last
    group by event_type order by found desc, event_type limit $limit""",
    Retention.name: """,
    weeks as (
        select distinct user_id, date_trunc('week', day)::date as week
        from events where day <= $last
    ),
    firsts as (select user_id, min(week) as cohort from weeks group by user_id)
    select (cohort - $first) // 7 as nth, (week - cohort) // 7 as later, count(*)
    from weeks join firsts using (user_id)
    where cohort >= $first and week - cohort < 7 * $window group by nth, later""",
}


def connected() -> duckdb.DuckDBPyConnection:
    """A connection for a script's whole life; to open one takes longer than to ask a small file."""
    return duckdb.connect()


def by_duckdb(
    connection: duckdb.DuckDBPyConnection, path: Path, question: Question[Any]
) -> tuple[Any, ...]:
    """The question's rows, by SQL on the file."""
    parameters = {"path": str(path), **_parameters(question)}
    return question.rows(connection.execute(_EVENTS + _SQL[question.name], parameters).fetchall())


def by_polars(path: Path, question: Question[Any]) -> tuple[Any, ...]:
    """The question's rows, by a lazy frame over the file.

    Raises:
        ModuleNotFoundError: polars isn't installed (the extra `notebook`).
    """
    return question.rows(_by_polars(question, import_module("polars"), path))


@singledispatch
def _parameters(question: object) -> dict[str, Any]:
    raise NotImplementedError(question)


@_parameters.register
def _(question: Dau) -> dict[str, Any]:
    return {"first": question.days.first, "last": question.days.last}


@_parameters.register
def _(question: TopEvents) -> dict[str, Any]:
    return {
        "first": question.days.first,
        "last": question.days.last,
        "limit": question.limit,
    }


@_parameters.register
def _(question: Retention) -> dict[str, Any]:
    last = _monday(question.today) + timedelta(days=6)
    return {"first": question.first_cohort, "last": last, "window": question.window}


@singledispatch
def _by_polars(question: object, pl: Any, path: Path) -> Found:
    raise NotImplementedError(question)


@_by_polars.register
def _(question: Dau, pl: Any, path: Path) -> Found:
    counted = _within(pl, path, question).group_by("day").agg(pl.col("user_id").n_unique())
    return [((day - question.days.first).days, users) for day, users in counted.collect().rows()]


@_by_polars.register
def _(question: TopEvents, pl: Any, path: Path) -> Found:
    counted = _within(pl, path, question).group_by("event_type").len()
    ordered = counted.sort(["len", "event_type"], descending=[True, False])
    rows: Found = ordered.head(question.limit).collect().rows()
    return rows


@_by_polars.register
def _(question: Retention, pl: Any, path: Path) -> Found:
    first = question.first_cohort
    week = pl.col("occurred_at").dt.date().dt.truncate("1w")
    weeks = pl.scan_parquet(path).select("user_id", week=week).unique()
    weeks = weeks.filter(pl.col("week") <= _monday(question.today))
    firsts = weeks.group_by("user_id").agg(cohort=pl.col("week").min())
    counted = (
        weeks.join(firsts, on="user_id")
        .filter(
            pl.col("cohort") >= first,
            pl.col("week") - pl.col("cohort") < timedelta(weeks=question.window),
        )
        .group_by("cohort", "week")
        .len()
    )
    return [
        ((cohort - first).days // 7, (week - cohort).days // 7, users)
        for cohort, week, users in counted.collect().rows()
    ]


def _within(pl: Any, path: Path, question: Dau | TopEvents) -> Any:
    events = pl.scan_parquet(path).with_columns(day=pl.col("occurred_at").dt.date())
    return events.filter(pl.col("day").is_between(question.days.first, question.days.last))


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())

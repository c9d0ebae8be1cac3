"""Events for tests: the bundled data sets with their true answers, and the way into a database.

The truth was computed apart from this project, by plain Python over the files, without SQL.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import random
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa

from analytics.reference.event import Event

DATA = Path(__file__).parent / "fixtures" / "data"
NAMES = ("git_rails", "rete_ecom")
_loads = itertools.count(1)
ZONES = ("America/New_York", "Asia/Kolkata", "Pacific/Auckland")


@cache
def data_set(name: str) -> tuple[Event, ...]:
    """The events of the file, in its order, for project 1."""
    with gzip.open(DATA / f"{name}.csv.gz", "rt", newline="") as file:
        return tuple(
            Event(1, datetime.fromisoformat(row["occurred_at"]), row["user_id"], row["event_type"])
            for row in csv.DictReader(file)
        )


@cache
def truth(name: str) -> dict[str, Any]:
    """The answers for the data set, as ground truth computed them."""
    with gzip.open(DATA / f"{name}.truth.json.gz", "rt") as file:
        document: dict[str, Any] = json.load(file)
    return document


def span(name: str) -> tuple[date, date]:
    """A day before the data set's first event and a day after its last, for any zone."""
    totals = truth(name)["totals"]
    first, last = (date.fromisoformat(totals[end][:10]) for end in ("first", "last"))
    return first - timedelta(days=1), last + timedelta(days=1)


def shuffled(events: Sequence[Event]) -> list[Event]:
    """The same events in another order, the same one every time."""
    return random.Random(20).sample(events, len(events))  # noqa: S311 - no secret


def of_project(project_id: int, events: Iterable[Event]) -> list[Event]:
    """The same events in another project."""
    return [event._replace(project_id=project_id) for event in events]


def copy_events(url: str, events: Iterable[Event]) -> None:
    """Write the events in this order, under ids of their own."""
    prefix = f"{next(_loads):08x}-0000-0000-0000"
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        into = "copy events (project_id, event_id, occurred_at, user_id, event_type) from stdin"
        with cursor.copy(into) as copy:
            for number, (project_id, occurred_at, user_id, event_type) in enumerate(events):
                event_id = f"{prefix}-{number:012x}"
                copy.write_row((project_id, event_id, occurred_at, user_id, event_type))


def event_table(events: Sequence[Event]) -> pa.Table:
    """The events as a table of a file, without ids."""
    instants = [event.occurred_at for event in events]
    return pa.table(
        {
            "occurred_at": pa.array(instants, pa.timestamp("us", "UTC")),
            "user_id": pa.array([event.user_id for event in events], pa.string()),
            "event_type": pa.array([event.event_type for event in events], pa.string()),
        }
    )

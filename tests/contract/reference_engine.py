"""The reference as an engine: it reads a project's events from Postgres and loops over them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psycopg

from analytics.project import Project
from analytics.questions.dau import Dau
from analytics.questions.question import Question
from analytics.questions.retention import Retention
from analytics.questions.top_events import TopEvents
from analytics.reference.dau import dau
from analytics.reference.event import Event
from analytics.reference.retention import retention
from analytics.reference.top_events import top_events

REFERENCES: dict[type, Any] = {Dau: dau, TopEvents: top_events, Retention: retention}


def by_reference(question: Question[Any], events: Iterable[Event]) -> tuple[Any, ...]:
    """The reference's rows for whatever question it is."""
    rows: tuple[Any, ...] = REFERENCES[type(question)](question, events)
    return rows


class ReferenceEngine:
    """Answers as slowly and as plainly as it gets."""

    def __init__(self, url: str) -> None:
        self.url = url

    def rows(self, question: Question[Any]) -> tuple[Any, ...]:
        return by_reference(question, events_in(self.url, question.project))


def events_in(url: str, project: Project) -> list[Event]:
    """The project's events as they are in Postgres."""
    with psycopg.connect(url, options="-c timezone=UTC") as connection:
        events = connection.execute(
            "select project_id, occurred_at, user_id, event_type from events where project_id = %s",
            [project.id],
        ).fetchall()
    return [Event(*event) for event in events]

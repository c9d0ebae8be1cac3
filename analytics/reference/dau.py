"""Daily active users, by a set of users for each day."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date

from analytics.questions.dau import Dau, DayUsers
from analytics.reference.event import Event, local_day


def dau(question: Dau, events: Iterable[Event]) -> tuple[DayUsers, ...]:
    """The answer to the question from these events, of whatever projects, in whatever order."""
    users: defaultdict[date, set[str]] = defaultdict(set)
    for event in events:
        if event.project_id == question.project.id:
            users[local_day(question.project.timezone, event.occurred_at)].add(event.user_id)
    return tuple(DayUsers(day, len(users[day])) for day in question.days)

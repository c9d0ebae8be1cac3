"""Top events, by counting one after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from analytics.questions.top_events import EventCount, TopEvents
from analytics.reference.event import Event, local_day


def top_events(question: TopEvents, events: Iterable[Event]) -> tuple[EventCount, ...]:
    """The answer to the question from these events, of whatever projects, in whatever order."""
    counts: Counter[str] = Counter()
    for event in events:
        day = local_day(question.project.timezone, event.occurred_at)
        in_range = question.days.first <= day <= question.days.last
        if event.project_id == question.project.id and in_range:
            counts[event.event_type] += 1
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(EventCount(event_type, count) for event_type, count in ranked[: question.limit])

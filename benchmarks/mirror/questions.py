"""What is asked, by which calendars."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from analytics.events import ProjectId
from analytics.project import Project
from analytics.questions.dau import Dau
from analytics.questions.day_range import DayRange
from analytics.questions.question import Question
from analytics.questions.retention import Retention
from analytics.questions.top_events import TopEvents
from benchmarks.generate import DAYS, FIRST_DAY

PROJECT: Final = Project(ProjectId(1), "benchmark")
ELSEWHERE: Final = Project(ProjectId(1), "benchmark", "Europe/Kyiv")
"""The same events by another calendar than the roll-ups'."""

LAST_DAY: Final = FIRST_DAY + timedelta(days=DAYS - 1)
DAU, WEEK, TOP, RETENTION = "DAU, 120 days", "DAU, 7 days", "top 10, 120 days", "retention, 8 weeks"


def questions(project: Project) -> dict[str, Question[Any]]:
    """The four questions of the tables, by the names they have there."""
    span = DayRange(FIRST_DAY, LAST_DAY)
    week = DayRange(LAST_DAY - timedelta(days=6), LAST_DAY)
    return {
        DAU: Dau(project, span),
        WEEK: Dau(project, week),
        TOP: TopEvents(project, span),
        RETENTION: Retention(project, LAST_DAY - timedelta(weeks=8), LAST_DAY),
    }

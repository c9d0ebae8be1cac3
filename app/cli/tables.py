"""Answers and reports as tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from analytics.questions.dau import DayUsers
from analytics.questions.retention import Cell, Cohort
from analytics.questions.top_events import EventCount

BAR_CHARACTERS = 32
# From pale to strong, the text dark or light so that it stays readable on each.
SHADES = (
    ("grey93", "black"),
    ("light_cyan1", "black"),
    ("pale_turquoise1", "black"),
    ("sky_blue1", "black"),
    ("steel_blue1", "black"),
    ("dodger_blue2", "bright_white"),
    ("blue3", "bright_white"),
)
# Retention falls off steeply: shades that change every ten percent up to half show more than even
# ones.
SHADE_BOUNDS = (1, 5, 10, 20, 35, 60)


def dau_table(rows: Sequence[DayUsers], *, zone: str) -> Table:
    """A line a day, with a bar to compare them by eye."""
    table = _table(f"Daily active users ({zone})")
    table.add_column("day")
    table.add_column("users", justify="right")
    table.add_column("", no_wrap=True)
    most = max((row.dau for row in rows), default=0)
    for row in rows:
        table.add_row(f"{row.day:%Y-%m-%d %a}", f"{row.dau:,}", _bar(row.dau, most))
    return table


def top_events_table(rows: Sequence[EventCount]) -> Table:
    """A line an event type, most frequent first."""
    table = _table("Top events")
    table.add_column("event type", overflow="fold")
    table.add_column("events", justify="right")
    table.add_column("", no_wrap=True)
    most = max((row.count for row in rows), default=0)
    for row in rows:
        table.add_row(Text(row.event_type), f"{row.count:,}", _bar(row.count, most))
    return table


def retention_table(rows: Sequence[Cohort], *, zone: str) -> Table:
    """A line a cohort (named after its first week), a column a week: percent active, shaded.

    A week that has not ended is marked with *, one that has not begun is empty.
    """
    table = _table(f"Weekly retention, % of each cohort ({zone})", padding=0)
    table.add_column("week of", no_wrap=True)
    table.add_column("  users ", justify="right", no_wrap=True)
    for week in range(max((len(row.weeks) for row in rows), default=0)):
        table.add_column(f"{week} ", justify="right", no_wrap=True, min_width=6)
    for row in rows:
        table.add_row(f"{row.cohort:%Y-%m-%d}", f"{row.size:,} ", *map(_cell, row.weeks))
    return table


def _table(title: str, *, padding: int = 1) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, padding),
    )


def _bar(value: int, most: int) -> Text:
    length = round(BAR_CHARACTERS * value / most) if most else 0
    return Text("█" * length or ("▏" if value else ""), style="dodger_blue2")


def _cell(cell: Cell) -> Text:
    if cell.percent is None:
        return Text("")
    background, foreground = SHADES[sum(cell.percent >= bound for bound in SHADE_BOUNDS)]
    mark = " " if cell.complete else "*"
    return Text(f"{cell.percent:5.1f}{mark}", style=f"{foreground} on {background}")

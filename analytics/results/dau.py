"""Daily active users as a table, a sparkline and a line chart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from analytics.questions.dau import DayUsers
from analytics.results.markup import ACCENT, AVERAGE, figure
from analytics.results.result import Result, charts, finished
from analytics.results.tabular import came_about

if TYPE_CHECKING:
    import altair as alt

WEEK: Final = 7

_WIDTH, _HEIGHT, _PAD = 640, 90, 4


@dataclass(frozen=True, repr=False)
class DauResult(Result[DayUsers]):
    """Distinct users of each day. Columns: day (date), dau (int64)."""

    def title(self) -> str:
        """See `Tabular.title`."""
        return f"Daily active users ({self._zone()})"

    def arrow(self) -> pa.Table:
        """See `Tabular.arrow`."""
        days, users = [row.day for row in self.rows], [row.dau for row in self.rows]
        return pa.table({"day": pa.array(days, pa.date32()), "dau": pa.array(users, pa.int64())})

    def weekly_average(self) -> list[float | None]:
        """For each row the mean of the seven days that end with it; None before the seventh."""
        users = [row.dau for row in self.rows]
        return [
            None if end < WEEK else sum(users[end - WEEK : end]) / WEEK
            for end in range(1, len(users) + 1)
        ]

    def plot(self) -> alt.LayerChart:
        """A line of days and one of their weekly average. See `Result.plot`."""
        alt = charts()
        values = [
            {"day": row.day.isoformat(), "users": row.dau, "average": average}
            for row, average in zip(self.rows, self.weekly_average(), strict=True)
        ]
        tooltip = [
            alt.Tooltip("day:N"), alt.Tooltip("users:Q", format=","),
            alt.Tooltip("average:Q", format=",.1f", title="weekly average"),
        ]  # fmt: skip
        # Days as UTC, else the reader's own zone moves them.
        x = alt.X(
            "day:T",
            title=None,
            scale=alt.Scale(type="utc"),
            axis=alt.Axis(format="%b %-d", tickCount=8, labelFlush=False),
        )
        y = alt.Y(
            "users:Q",
            title=None,
            axis=alt.Axis(domain=False, ticks=False, grid=True, labelPadding=8),
        )
        lines = alt.Scale(domain=["each day", "weekly average"], range=[ACCENT, AVERAGE])
        legend = alt.Legend(
            title=None, orient="top", symbolType="stroke", symbolOpacity=1, symbolStrokeWidth=2.5
        )
        color = alt.Color("line:N", scale=lines, legend=legend)
        base = alt.Chart(alt.Data(values=values)).encode(x=x, color=color)
        day = base.transform_calculate(line="'each day'").encode(y=y)
        week = base.transform_calculate(line="'weekly average'").encode(y="average:Q")
        daily = day.mark_line(opacity=0.5, strokeWidth=1.2)
        points = day.mark_circle(opacity=0.7, size=18).encode(tooltip=tooltip)
        weekly = week.mark_line(strokeWidth=2.5)
        return finished(daily + points + weekly, self.title(), _WIDTH, 240)

    def _repr_html_(self) -> str:
        return figure(self.title(), _sparkline(self), f"{self._summary()}. {came_about(self.meta)}")

    def _summary(self) -> str:
        users = [row.dau for row in self.rows]
        most = max(self.rows, key=lambda row: row.dau)
        return (
            f"{len(users)} days from {self.rows[0].day} to {self.rows[-1].day}: "
            f"mean {sum(users) / len(users):,.1f}, most {most.dau:,} on {most.day}, "
            f"last {users[-1]:,}"
        )


def _sparkline(result: DauResult) -> str:
    """Days as bars of a tooltip each, and the weekly average as a line over them."""
    most = max(row.dau for row in result.rows) or 1
    step = _WIDTH / len(result.rows)

    def y(users: float) -> float:
        return _PAD + (_HEIGHT - 2 * _PAD) * (1 - users / most)

    bars = "".join(
        f'<rect x="{number * step:.2f}" y="{y(row.dau):.2f}" width="{max(step * 0.8, 0.5):.2f}"'
        f' height="{_HEIGHT - _PAD - y(row.dau):.2f}"><title>{row.day:%a} {row.day}: {row.dau:,}'
        "</title></rect>"
        for number, row in enumerate(result.rows)
    )
    line = " ".join(
        f"{(number + 0.4) * step:.2f},{y(average):.2f}"
        for number, average in enumerate(result.weekly_average())
        if average is not None
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img">'
        f'<g fill="{ACCENT}" fill-opacity=".45">{bars}</g>'
        f'<polyline points="{line}" fill="none" stroke="{AVERAGE}" stroke-width="2"/></svg>'
    )

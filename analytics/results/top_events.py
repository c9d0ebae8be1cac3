"""The most frequent event types as a table with bars and a bar chart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from analytics.questions.top_events import EventCount, TopEvents
from analytics.results.markup import ACCENT, cell, figure, head, table
from analytics.results.result import Result, charts, finished
from analytics.results.tabular import came_about

if TYPE_CHECKING:
    import altair as alt

_BAR_PIXELS = 260


@dataclass(frozen=True, repr=False)
class TopEventsResult(Result[EventCount]):
    """Event types, the most frequent first. Columns: event_type (string), count (int64)."""

    question: TopEvents

    def title(self) -> str:
        """See `Tabular.title`."""
        days = self.question.days
        return f"Top events, {days.first} to {days.last} ({self._zone()})"

    def arrow(self) -> pa.Table:
        """See `Tabular.arrow`."""
        types, counts = [row.event_type for row in self.rows], [row.count for row in self.rows]
        return pa.table(
            {"event_type": pa.array(types, pa.string()), "count": pa.array(counts, pa.int64())}
        )

    def plot(self) -> alt.LayerChart:
        """A bar for each event type, in their order. See `Result.plot`."""
        alt = charts()
        values = [row.as_json() for row in self.rows]
        base = alt.Chart(alt.Data(values=values)).encode(
            x=alt.X("count:Q", axis=None),
            y=alt.Y(
                "event_type:N",
                title=None,
                sort=[row.event_type for row in self.rows],
                axis=alt.Axis(ticks=False, domain=False, labelLimit=240, labelPadding=6),
            ),
            tooltip=[alt.Tooltip("event_type:N"), alt.Tooltip("count:Q", format=",")],
        )
        bars = base.mark_bar(color=ACCENT, height={"band": 0.75})
        labels = base.mark_text(align="left", dx=4, color="#555").encode(
            text=alt.Text("count:Q", format=",")
        )
        return finished(bars + labels, self.title(), 560, alt.Step(24))

    def _repr_html_(self) -> str:
        most = max((row.count for row in self.rows), default=1)
        lines = (
            cell(row.event_type, "text-align: left;")
            + cell(f"{row.count:,}", "text-align: right;")
            + f'<td style="border: 0; padding: 3px 0;"><div style="background: {ACCENT};'
            f" opacity: .7; height: 12px; border-radius: 2px;"
            f' width: {max(1, round(_BAR_PIXELS * row.count / most))}px;"></div></td>'
            for row in self.rows
        )
        header = head(("event type", "events", ""), ("left", "right", "left"))
        return figure(self.title(), table((header, *lines)), came_about(self.meta))

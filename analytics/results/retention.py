"""Weekly retention as rows of cells, a shaded triangle and a heat map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from analytics.questions.retention import Cell, Cohort
from analytics.results.markup import HATCH, cell, figure, head, shade, table
from analytics.results.result import Result, charts, finished
from analytics.results.tabular import came_about

if TYPE_CHECKING:
    import altair as alt

_STEP_X, _STEP_Y = 46, 25
# Strokes across a cell, in halves of its height from its middle.
_HATCHED = "M-2,.1L-.9,-1M-1.9,1L.1,-1M-.9,1L1.1,-1M.1,1L2,-.9M1.1,1L2,.1"

_SCHEMA = pa.schema(
    {
        "cohort": pa.date32(),
        "size": pa.int64(),
        "week": pa.int64(),
        "active": pa.int64(),
        "percent": pa.float64(),
        "complete": pa.bool_(),
    }
)


@dataclass(frozen=True, repr=False)
class RetentionResult(Result[Cohort]):
    """Weekly cohorts and how they came back.

    Columns, a row for each cell: cohort (date, the week's first day), size (int64), week (int64,
    from 0), active (int64), percent (float64), complete (bool). `active` and `percent` are null
    where the week hasn't begun.
    """

    def title(self) -> str:
        """See `Tabular.title`."""
        return f"Weekly retention, % of each cohort ({self._zone()})"

    def arrow(self) -> pa.Table:
        """See `Tabular.arrow`."""
        cells = [
            {"cohort": row.cohort, "size": row.size, **each.as_json()}
            for row in self.rows
            for each in row.weeks
        ]
        return pa.Table.from_pylist(cells, schema=_SCHEMA)

    def plot(self) -> alt.LayerChart:
        """A heat map; weeks that haven't ended are hatched. See `Result.plot`."""
        alt = charts()
        begun = [
            _drawn(row, each) for row in self.rows for each in row.weeks if each.percent is not None
        ]
        labels = [_label(row) for row in self.rows]
        base = alt.Chart(alt.Data(values=begun)).encode(
            x=alt.X(
                "week:O",
                title="weeks after the first",
                axis=alt.Axis(orient="top", labelAngle=0, ticks=False, domain=False),
            ),
            y=alt.Y(
                "cohort:N", title=None, sort=labels, axis=alt.Axis(ticks=False, domain=False)
            ),
            tooltip=[
                alt.Tooltip("cohort:N"), alt.Tooltip("week:O"), alt.Tooltip("percent:Q"),
                alt.Tooltip("active:Q", format=","), alt.Tooltip("size:Q", format=","),
                alt.Tooltip("ended:N", title="week has ended"),
            ],
        )  # fmt: skip
        strongest = _strongest(self.rows)
        cells = base.mark_rect(stroke="white", strokeWidth=2).encode(
            color=alt.Color(
                "percent:Q",
                scale=alt.Scale(scheme="blues", domain=[0, strongest], clamp=True),
                legend=None,
            )
        )
        is_dark = f"datum.percent > {0.6 * strongest}"
        hatches = (
            base.transform_filter("!datum.complete")
            .mark_point(shape=_HATCHED, size=(_STEP_Y - 5) ** 2, strokeWidth=1, opacity=0.6)
            .encode(stroke=alt.condition(is_dark, alt.value("white"), alt.value("#777")))
        )
        numbers = base.mark_text(fontSize=11).encode(
            text=alt.Text("percent:Q", format=".0f"),
            color=alt.condition(is_dark, alt.value("white"), alt.value("#333")),
        )
        note = (
            " Hatched: the week hasn't ended."
            if any(not each["complete"] for each in begun)
            else ""
        )
        title = alt.Title(self.title(), subtitle=f"Rows: week of the first event (users).{note}")
        return finished(cells + hatches + numbers, title, alt.Step(_STEP_X), alt.Step(_STEP_Y))

    def _repr_html_(self) -> str:
        weeks = range(self.rows[0].weeks[-1].week + 1 if self.rows else 0)
        names = ("week of", "users", *map(str, weeks))
        strongest = _strongest(self.rows)
        lines = (
            cell(row.cohort.isoformat(), "text-align: left;")
            + cell(f"{row.size:,}", "text-align: right;")
            + "".join(_shaded(row, each, strongest) for each in row.weeks)
            for row in self.rows
        )
        header = head(names, ("left", *("right" for _ in names[1:])))
        body = table((header, *lines)) if self.rows else "<p>No cohort has users.</p>"
        open_cells = any(
            each.percent is not None and not each.complete
            for row in self.rows
            for each in row.weeks
        )
        note = "Hatched: the week hasn't ended. " if open_cells else ""
        return figure(self.title(), body, note + came_about(self.meta))


def _strongest(rows: tuple[Cohort, ...]) -> float:
    """The percentage of the darkest cell: the largest after week 0, which is always 100."""
    later = (
        each.percent for row in rows for each in row.weeks if each.week and each.percent is not None
    )
    return max(later, default=100.0) or 100.0


def _label(row: Cohort) -> str:
    return f"{row.cohort} ({row.size:,})"


def _drawn(row: Cohort, each: Cell) -> dict[str, Any]:
    ended = "yes" if each.complete else "not yet"
    return {"cohort": _label(row), "size": row.size, "ended": ended, **each.as_json()}


def _shaded(row: Cohort, each: Cell, strongest: float) -> str:
    if each.percent is None:
        return cell("")
    style = (
        f"text-align: right; min-width: 34px; border-radius: 3px; {shade(each.percent / strongest)}"
    )
    title = f"{each.active:,} of {row.size:,} users"
    if not each.complete:
        style += f" background-image: {HATCH};"
        title += "; the week hasn't ended"
    return cell(f"{each.percent:.1f}", style, title)

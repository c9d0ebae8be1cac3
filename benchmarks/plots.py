"""The plots of docs/benchmarks.md; Altair is in the extra `notebook`."""

from __future__ import annotations

from typing import Any

import altair as alt

from benchmarks.markdown import milliseconds
from benchmarks.ways import NAMES

COLOURS = ("#5b6b7b", "#b0803a", "#4f9d8f", "#14665b", "#c7b48a", "#a9b4c0")


def questions_plot(medians: dict[tuple[int, str, str], float]) -> alt.HConcatChart:
    """Bars by question and way, a column for each number of events; milliseconds, logarithmic."""
    rows = [
        {"size": size, "question": question, "way": way, "ms": ms, "text": milliseconds(ms)}
        for (size, question, way), ms in medians.items()
    ]
    sizes = sorted({size for size, _, _ in medians})
    columns = [_column([row for row in rows if row["size"] == size], size) for size in sizes]
    both: alt.HConcatChart = alt.hconcat(*columns, background="white")
    return both


def _column(rows: list[dict[str, Any]], size: int) -> alt.FacetChart:
    bars = alt.Chart().encode(
        x=alt.X("ms:Q", title="milliseconds, median", scale=alt.Scale(type="log", domainMin=0.5)),
        y=alt.Y("way:N", title=None, sort=list(NAMES)),
    )
    drawn = bars.mark_bar().encode(
        x2=alt.X2Datum(0.5),
        color=alt.Color(
            "way:N", legend=None, scale=alt.Scale(domain=list(NAMES), range=list(COLOURS))
        ),
    )
    named = bars.mark_text(align="left", dx=4).encode(text="text:N")
    return (
        alt.layer(drawn, named, data=alt.InlineData(rows))
        .properties(width=330, height=120)
        .facet(row=alt.Row("question:N", title=None, header=alt.Header(labelOrient="top")))
        .properties(title=f"{size:,} events")
    )


def http_plot(loads: list[dict[str, Any]]) -> alt.HConcatChart:
    """Requests a second, and the median wait, by the number of clients."""
    lines = alt.Chart(alt.InlineData(loads)).encode(
        x=alt.X("clients:O", title="clients at once", axis=alt.Axis(labelAngle=0)),
        color=alt.Color(
            "kind:N", title=None, scale=alt.Scale(range=["#14665b", "#b0803a", "#5b6b7b"])
        ),
    )
    rate = lines.mark_line(point=True).encode(
        y=alt.Y("requests_per_second:Q", title="requests a second")
    )
    wait = lines.mark_line(point=True).encode(
        y=alt.Y("p50_ms:Q", title="median wait, ms", scale=alt.Scale(type="log"))
    )
    return alt.hconcat(
        rate.properties(width=280, height=200),
        wait.properties(width=280, height=200),
        background="white",
    )


def loading_plot(loaded: list[dict[str, Any]]) -> alt.LayerChart:
    """A bar for each way in: events a second."""
    rows = [{**each, "text": f"{each['rate']:,.0f}"} for each in loaded]
    base = alt.Chart(alt.InlineData(rows)).encode(
        x=alt.X("rate:Q", title="events a second", axis=alt.Axis(format="~s", tickCount=5)),
        y=alt.Y(
            "way:N",
            title=None,
            sort=[each["way"] for each in loaded],
            axis=alt.Axis(labelLimit=300),
        ),
    )
    bars = base.mark_bar(color=COLOURS[3], height={"band": 0.7})
    named = base.mark_text(align="left", dx=4).encode(text="text:N")
    both: alt.LayerChart = (bars + named).properties(
        width=420, height=alt.Step(22), background="white"
    )
    return both

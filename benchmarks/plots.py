"""The plots of docs/benchmarks.md; Altair is in the extra `notebook`."""

from __future__ import annotations

from typing import Any, Final

import altair as alt

from benchmarks.markdown import milliseconds
from benchmarks.ways import NAMES

COLOURS: Final = ("#5b6b7b", "#b0803a", "#4f9d8f", "#14665b", "#c7b48a", "#a9b4c0")
GREEN, BROWN, GREY = COLOURS[3], COLOURS[1], COLOURS[0]
# Bars on a logarithmic scale begin somewhere; a tick for each power of ten says that it is one.
LEAST_MS: Final = 0.5
POWERS: Final = [1, 10, 100, 1_000, 10_000, 100_000]
BESIDE: Final = 1.12
"""How far an axis goes past its largest bar, for the figure beside it."""


def questions_plot(medians: dict[tuple[int, str, str], float]) -> alt.HConcatChart:
    """Bars by question and way, a column for each number of events; milliseconds, logarithmic.

    All columns have one scale, for the question is what grows with the events.
    """
    rows = [
        {"size": size, "question": question, "way": way, "ms": ms, "text": milliseconds(ms)}
        for (size, question, way), ms in medians.items()
    ]
    sizes = sorted({size for size, _, _ in medians})
    ends = [LEAST_MS, max(medians.values()) * 2.5]
    columns = [_column([row for row in rows if row["size"] == size], size, ends) for size in sizes]
    both: alt.HConcatChart = alt.hconcat(*columns, background="white")
    return both


def _column(rows: list[dict[str, Any]], size: int, ends: list[float]) -> alt.FacetChart:
    asked = list(dict.fromkeys(row["question"] for row in rows))
    bars = alt.Chart().encode(
        x=alt.X(
            "ms:Q",
            title="milliseconds, median (each line ten times the one before)",
            scale=alt.Scale(type="log", domain=ends),
            axis=alt.Axis(values=[each for each in POWERS if each < ends[1]]),
        ),
        y=alt.Y("way:N", title=None, sort=list(NAMES), axis=alt.Axis(ticks=False)),
    )
    drawn = bars.mark_bar().encode(
        x2=alt.X2Datum(LEAST_MS),
        color=alt.Color(
            "way:N", legend=None, scale=alt.Scale(domain=list(NAMES), range=list(COLOURS))
        ),
    )
    named = bars.mark_text(align="left", dx=4).encode(text="text:N")
    question = alt.Row(
        "question:N",
        title=None,
        sort=asked,
        header=alt.Header(labelOrient="top", labelAnchor="start", labelFontWeight="bold"),
    )
    return (
        alt.layer(drawn, named, data=alt.InlineData(rows))
        .properties(width=330, height=120)
        .facet(row=question)
        .properties(title=f"{size:,} events")
    )


def http_plot(loads: list[dict[str, Any]]) -> alt.HConcatChart:
    """Requests a second, and the median wait, by the number of clients."""
    kinds = list(dict.fromkeys(load["kind"] for load in loads))
    lines = alt.Chart(alt.InlineData(loads)).encode(
        x=alt.X("clients:O", title="clients at once", axis=alt.Axis(labelAngle=0)),
        color=alt.Color(
            "kind:N",
            title=None,
            sort=kinds,
            scale=alt.Scale(range=[GREEN, COLOURS[2], BROWN, GREY, *COLOURS[4:]]),
        ),
    )
    rate = lines.mark_line(point=True).encode(
        y=alt.Y("requests_per_second:Q", title="requests a second")
    )
    wait = lines.mark_line(point=True).encode(
        y=alt.Y(
            "p50_ms:Q",
            title="median wait, ms",
            scale=alt.Scale(type="log"),
            axis=alt.Axis(values=POWERS),
        )
    )
    return alt.hconcat(
        rate.properties(width=280, height=200),
        wait.properties(width=280, height=200),
        background="white",
    )


def loading_plot(loaded: list[dict[str, Any]]) -> alt.LayerChart:
    """A bar for each way in, events a second; what is only there to compare with in grey."""
    rows = [
        {
            "way": each["way"],
            "rate": each["rate"],
            "text": f"{each['rate']:,.0f}",
            "whose": "to compare with" if each["is_baseline"] else "Tidemark",
        }
        for each in loaded
    ]
    most = max((row["rate"] for row in rows), default=1.0)
    base = alt.Chart(alt.InlineData(rows)).encode(
        x=alt.X(
            "rate:Q",
            title="events a second",
            scale=alt.Scale(domain=[0, most * BESIDE], nice=False),
            axis=alt.Axis(format="~s", tickCount=5),
        ),
        y=alt.Y(
            "way:N",
            title=None,
            sort=[row["way"] for row in rows],
            axis=alt.Axis(labelLimit=300, ticks=False),
        ),
    )
    colours = alt.Scale(domain=["Tidemark", "to compare with"], range=[GREEN, COLOURS[5]])
    bars = base.mark_bar(height={"band": 0.7}).encode(
        color=alt.Color("whose:N", title=None, scale=colours, legend=alt.Legend(orient="top"))
    )
    named = base.mark_text(align="left", dx=4).encode(text="text:N")
    both: alt.LayerChart = (bars + named).properties(
        width=460, height=alt.Step(22), background="white"
    )
    return both

"""docs/soak.md and its plot, from the published run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import altair as alt

from benchmarks.markdown import circumstances, table
from benchmarks.soak.samples import MEASURES, MOST_GROWTH, Samples, growing, growth

ROOT: Final = Path(__file__).parents[2]
PUBLISHED: Final = ROOT / "benchmarks/results/soak.json"
PAGE: Final = ROOT / "docs/soak.md"
PLOT: Final = ROOT / "docs/images/soak.svg"
_INTRODUCTION: Final = """\
# One server at work for a while

Written by `make soak` (30 minutes, or SOAK_MINUTES) from what it sampled,
[soak.json](../benchmarks/results/soak.json); don't edit it. `tidemark serve` takes events as JSON
and larger batches, answers questions and keeps its mirror, while events are changed, people erased
and whatever is a minute old removed: as much leaves as comes, so nothing has a reason to grow.
Every ten seconds the writers pause and each answer is compared with SQL's; at the end
`tidemark mirror verify` compares every event and every count.
"""

_WAVES: Final = """\
The mirror's folder goes in waves: after 100,000 removals its table of events is rewritten, after
500,000 rows its table of days by user
([compaction.py](../analytics/mirror/compaction.py)), which at this pace is every two and a half
and, as worked out, six minutes. So a run has to be 30 minutes long to show whether it levels off.
"""


def _levels(samples: Samples) -> str:
    names = ", ".join(MEASURES[name] for name in growing(samples))
    found = f"**Not level by then: {names}.**" if names else "**All of it levels off.**"
    return (
        "The last column compares the peak of the last quarter with that of the quarter before; a "
        f"run fails by more than {MOST_GROWTH:.0%}. {found}"
    )


def page(run: dict[str, Any]) -> str:
    """The page, as Markdown."""
    samples = run["samples"]
    rows = []
    for name, title in MEASURES.items():
        values = [each[name] for each in samples]
        last = values[-len(values) // 4 :]
        rows.append(
            [
                title,
                f"{values[0]:,.0f}",
                f"{max(values):,.0f}",
                f"{sum(last) / len(last):,.0f}",
                f"{growth(samples, name):+.1%}",
            ]
        )
    counts = ", ".join(f"{name} {times:,}" for name, times in sorted(run["counts"].items()))
    parts = [
        _INTRODUCTION,
        circumstances(run["taken_at"], run["machine"], run),
        f"**This run: {run['minutes']:g} minutes**, a sample every {run['every']:g} s.\n",
        "![What the server, its mirror and its Postgres hold, by minute](images/soak.svg)\n",
        table(["", "at first", "most", "last quarter", "peaks, last quarters"], rows),
        f"{_levels(samples)}\n",
        _WAVES,
        f"Done meanwhile: {counts}. Differences: none. {run['verified']}\n",
    ]
    return "\n".join(parts)


def plot(run: dict[str, Any]) -> alt.ConcatChart:
    """A line for each measure, by minute."""
    charts = [
        alt.Chart(alt.InlineData(run["samples"]))
        .mark_line(color="#14665b")
        .encode(
            x=alt.X("minutes:Q", title="minutes"),
            y=alt.Y(f"{name}:Q", title=None, scale=alt.Scale(domainMin=0)),
        )
        .properties(width=260, height=120, title=title)
        for name, title in MEASURES.items()
    ]
    both: alt.ConcatChart = alt.concat(*charts, columns=3, background="white")
    return both


def publish(run: dict[str, Any]) -> None:
    """Write the page and its plot."""
    plot(run).save(PLOT)
    PAGE.write_text(page(run))

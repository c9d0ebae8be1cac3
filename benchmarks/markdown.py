"""Tables and figures as the pages of measurements show them, and what a run's machine was like."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

_BUSY: Final = 0.1


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown, with an end of line."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def milliseconds(value: float) -> str:
    """To a tenth; whole ones from a hundred on."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def ratio(value: float) -> str:
    """To three digits, as 894x."""
    return f"{value:,.0f}x" if value >= 100 else f"{value:.1f}x" if value >= 10 else f"{value:.2f}x"


def circumstances(taken_at: str, machine: Mapping[str, Any], result: Any) -> str:
    """Day, machine and versions of a result, and whether others used the machine meanwhile."""
    busiest = max(_busy_shares(result), default=0.0)
    quiet = "" if busiest <= _BUSY else "; **the machine was not quiet, take the ratios as rough**"
    return (
        f"{taken_at[:10]}; {machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory_gb']} GB; Postgres 18, DuckDB {machine['duckdb']}. "
        f"Just before a measurement others used at most {busiest:.0%} of the cores{quiet}.\n"
    )


def _busy_shares(part: Any) -> Iterator[float]:
    """Every `others_busy` in a result, however deep."""
    if isinstance(part, dict):
        for name, value in part.items():
            if name == "others_busy":
                yield from value
            else:
                yield from _busy_shares(value)
    elif isinstance(part, list):
        for value in part:
            yield from _busy_shares(value)

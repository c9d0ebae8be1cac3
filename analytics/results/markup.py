"""Pieces of HTML for notebooks: inline styles only, readable on light and dark pages, no scripts.

Notebooks strip style sheets and scripts from outputs they don't trust, and pages on the web differ
in what they let through; inline styles pass everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

ACCENT: Final = "#2f6db5"
AVERAGE: Final = "#d1605e"
_ACCENT_RGB: Final = "47, 109, 181"
HATCH: Final = (
    "repeating-linear-gradient(135deg, transparent 0 4px, rgba(128, 128, 128, .55) 4px 5px)"
)

_CELL: Final = "padding: 3px 9px; border: 0; white-space: nowrap;"
_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
  :root {{ color-scheme: light dark; }}
  body {{ font: 14px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }}
</style>
{body}
</html>
"""  # noqa: E501 - a style is one line


def shade(share: float) -> str:
    """A background whose strength says how large `share` is, from 0 to 1."""
    return f"background-color: rgba({_ACCENT_RGB}, {0.05 + 0.65 * min(max(share, 0), 1):.2f});"


def cell(text: str, style: str = "", title: str = "", tag: str = "td") -> str:
    """A table cell; `text` is plain text."""
    tooltip = f' title="{escape(title)}"' if title else ""
    return f'<{tag}{tooltip} style="{_CELL} {style}">{escape(text)}</{tag}>'


def head(names: Sequence[str], align: Sequence[str]) -> str:
    """The cells of a row of headings, each "left" or "right"."""
    return "".join(
        cell(name, f"text-align: {side}; font-weight: 600; opacity: .75;", tag="th")
        for name, side in zip(names, align, strict=True)
    )


def table(rows: Iterable[str]) -> str:
    """A table of rows, each the cells of one."""
    style = (
        "border-collapse: separate; border-spacing: 2px; font-variant-numeric: tabular-nums; "
        "font-size: 13px; margin: 4px 0;"
    )
    return f'<table style="{style}">{"".join(f"<tr>{each}</tr>" for each in rows)}</table>'


def figure(title: str, body: str, note: str) -> str:
    """A whole output: its title, what it shows, and a quiet line on how it came about."""
    return (
        f'<div style="margin: 4px 0 8px;"><div style="font-weight: 600;">{escape(title)}</div>'
        f'<div style="overflow-x: auto;">{body}</div>'
        f'<div style="font-size: 12px; opacity: .65;">{escape(note)}</div></div>'
    )


def page(title: str, body: str) -> str:
    """A page of its own that needs nothing from elsewhere."""
    return _PAGE.format(title=escape(title), body=body)

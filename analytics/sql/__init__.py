"""The SQL of every engine: `<engine>/<question>.sql`, one statement a file, and the loader.

The head of a file says which question it answers, what it takes, which index it relies on, and why
it is written as it is. The head stays here: the server gets the statement, opened by a comment that
names its owner.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import LiteralString


@cache
def statement(engine: str, name: str) -> LiteralString:
    """The statement of `<engine>/<name>.sql`, with its owner in a comment in place of the head."""
    text = files("analytics.sql").joinpath(engine, f"{name}.sql").read_text("utf-8")
    body = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    # The one place where text is taken for a literal (to mypy the two are one type): it is a file
    # of this package, and no input picks its characters.
    return f"/* tidemark {engine} {name} */\n{body.strip()}"

"""Whatever measures says what it asks, expects and compares with, and what would make it wrong."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SAID = ("Question", "Hypothesis", "Control", "Command", "What would make it wrong")
# These hand the measuring to modules that say it.
ASSEMBLED = {"capacity/__main__.py", "mirror/__main__.py", "soak/__main__.py"}


def measures(path: Path) -> bool:
    """Whether a module has cases of pytest's, a function that measures, or is a command."""
    module = ast.parse(path.read_text())
    names = {each.name for each in module.body if isinstance(each, ast.FunctionDef)}
    return any(re.match(r"test_|measure_", name) for name in names) or (
        "main" in names and path.name != "page.py"
    )


CASES = {
    name: path
    for path in sorted(BENCHMARKS.rglob("*.py"))
    if measures(path) and (name := path.relative_to(BENCHMARKS).as_posix()) not in ASSEMBLED
}


def test_all_that_measure_are_found() -> None:
    assert {"test_ingest.py", "mirror/steady.py", "capacity/storing.py", "access.py"} <= set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_case_says_what_would_make_it_wrong(name: str) -> None:
    said = ast.get_docstring(ast.parse(CASES[name].read_text())) or ""
    missing = [each for each in SAID if not re.search(rf"^{each}: \S", said, re.MULTILINE)]
    assert not missing, f"benchmarks/{name} doesn't say {missing}"

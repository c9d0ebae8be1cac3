"""House rules that no linter knows: small modules and functions, files named after one idea.

A file with one idea is found by its name and read in one go; a function that fits a screen needs no
map. The limits are alarms: an explained exception in ALLOWED is better than an idea split over
three files.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("app", "analytics", "ingest", "benchmarks", "migrations")
MODULE_LINES, FUNCTION_LINES, PARAMETERS = 400, 60, 6
MEDIAN_MODULE_LINES, FUNCTION_LINES_P90 = 120, 35
VAGUE_NAMES = {
    "utils",
    "util",
    "helpers",
    "helper",
    "common",
    "service",
    "services",
    "misc",
    "base",
    "manager",
}

# path or path::function -> why it may be longer
ALLOWED: dict[str, str] = {}

MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _is_library(path: Path) -> bool:
    return path.relative_to(ROOT).parts[0] in {"analytics", "ingest"}


def _code(path: Path) -> str:
    """The module without comments and how it is laid out."""
    return ast.unparse(_tree(path))


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", [path for path in MODULES if _is_library(path)], ids=_name)
def test_library_reads_no_environment(path: Path) -> None:
    found = set(re.findall(r"\b(?:environb?|getenvb?)\b", _code(path)))
    assert not found, "take it as a value"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_module_is_short_and_named_after_its_idea(path: Path) -> None:
    assert path.stem not in VAGUE_NAMES
    if _name(path) not in ALLOWED:
        assert len(path.read_text().splitlines()) <= MODULE_LINES


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_functions_are_short_and_take_few_parameters(path: Path) -> None:
    for node in _functions(path):
        if f"{_name(path)}::{node.name}" in ALLOWED:
            continue
        named = len(node.args.args) + len(node.args.posonlyargs) + len(node.args.kwonlyargs)
        own = named - (bool(node.args.args) and node.args.args[0].arg in {"self", "cls"})
        # A command's parameters are annotated with typer's own words, or with names for them.
        annotations = [ast.unparse(a.annotation) for a in node.args.args if a.annotation]
        is_command = any("typer" in a or a.endswith("Option") for a in annotations)
        assert _length(node) <= FUNCTION_LINES, f"{node.name} has {_length(node)} lines"
        assert own <= PARAMETERS or is_command, f"{node.name} takes {own} parameters"


def test_most_modules_and_functions_are_small() -> None:
    modules = [len(path.read_text().splitlines()) for path in MODULES if path.stem != "__init__"]
    functions = sorted(_length(node) for path in MODULES for node in _functions(path))

    assert median(modules) <= MEDIAN_MODULE_LINES
    assert functions[int(len(functions) * 0.9)] <= FUNCTION_LINES_P90


def test_exceptions_are_still_needed() -> None:
    for name in ALLOWED:
        path, _, function = name.partition("::")
        lengths = [_length(node) for node in _functions(ROOT / path) if node.name == function]
        assert (
            max(lengths, default=0) > FUNCTION_LINES
            or len((ROOT / path).read_text().splitlines()) > MODULE_LINES
        )

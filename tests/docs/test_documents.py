"""The documents say what the code does: settings, commands, errors."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from analytics import errors
from app.cli.reference import reference
from app.problems import OUTCOMES, outcome_of
from app.settings import Settings
from ingest.rejects import MEANINGS

ROOT = Path(__file__).parents[2]


def test_every_setting_is_documented_and_none_else() -> None:
    documented = re.findall(
        r"^\| `([A-Z_]+)` \|", (ROOT / "docs/settings.md").read_text(), re.MULTILINE
    )
    assert sorted(documented) == sorted(name.upper() for name in Settings.model_fields)


def test_command_reference_is_up_to_date() -> None:
    assert (ROOT / "docs/cli.md").read_text() == reference(), "run: make docs"


def _subclasses(cls: type[errors.TidemarkError]) -> set[type[errors.TidemarkError]]:
    return {cls}.union(*map(_subclasses, cls.__subclasses__()))


def test_every_error_has_an_outcome_and_a_code_of_its_own() -> None:
    found = _subclasses(errors.TidemarkError)
    codes = [error.code for error in found]
    assert len(set(codes)) == len(codes)
    assert all(outcome_of(error.__new__(error)) in OUTCOMES.values() for error in found)


def test_every_reject_code_is_documented_and_none_else() -> None:
    page = (ROOT / "docs/ingest.md").read_text().partition("| code | meaning |")[2]
    documented = dict(re.findall(r"^\| `([a-z_0-9]+)` \| (.*) \|$", page, re.MULTILINE))
    assert documented == {code.value: meaning for code, meaning in MEANINGS.items()}


def test_decisions_fit_a_page() -> None:
    for page in (ROOT / "docs/adr").glob("*.md"):
        assert len(page.read_text().splitlines()) <= 40, page.name


@pytest.mark.parametrize(
    "page", sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/**/*.md")), ids=lambda p: p.name
)
def test_links_between_documents_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target

"""The notebooks run, and what they are kept with is what they show."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from app.local.home import Home
from app.local.servers import ServerOptions, local_servers

ROOT = Path(__file__).parents[2]
NOTEBOOKS = ROOT / "docs" / "notebooks"
RUNNER = Path(__file__).with_name("run_notebook.py")
# How long an answer took and when it was given differ, and where temporary files lie.
_DIFFERS = re.compile(r"[\d,.]+ ms; as of [\d :-]+ UTC|PosixPath\('[^']*'\)")

pytestmark = pytest.mark.timeout(180)


def kept(name: str) -> dict[str, Any]:
    """The notebook as it is in the repository."""
    document: dict[str, Any] = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text("utf-8"))
    return document


def run(notebook: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The notebook after a run where it lies."""
    source, result = folder / "source.ipynb", folder / "result.ipynb"
    source.write_text(json.dumps(notebook), "utf-8")
    command = [sys.executable, RUNNER, source, NOTEBOOKS, result]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(result.read_text("utf-8"))
    return document


def shown(notebook: dict[str, Any]) -> list[tuple[str, str]]:
    """All that a notebook shows as text: kind and content of each output, in order."""
    outputs = [each for cell in notebook["cells"] for each in cell.get("outputs", [])]
    data = [each.get("data", {"text/plain": each.get("text", "")}) for each in outputs]
    return [
        (kind, _DIFFERS.sub("...", "".join(content)))
        for each in data
        for kind, content in each.items()
        if kind in {"text/html", "text/plain"} and "alt." not in "".join(content)
    ]


@pytest.mark.parametrize("name", ["first_look", "retention"])
def test_notebook_shows_what_it_is_kept_with(name: str, tmp_path: Path) -> None:
    before = kept(name)
    after = run(before, tmp_path)
    assert shown(after) == shown(before)
    assert len(shown(before)) > 4
    assert "image/png" in str(after)


def test_measuring_notebook_compares_all_engines(tmp_path: Path) -> None:
    notebook = kept("measured")
    [settings] = [
        each for each in notebook["cells"] if "EVENTS = 1_000_000" in "".join(each["source"])
    ]
    with (
        tempfile.TemporaryDirectory(prefix="tidemark-", ignore_cleanup_errors=True) as folder,
        local_servers(Home(Path(folder)), options=ServerOptions(durable=False)),
    ):
        settings["source"] = f"EVENTS = 20_000\nHOME = {folder!r}"
        text = str(shown(run(notebook, tmp_path)))
    assert "20,000 inserted" in text or "20,000" in text
    assert "All engines gave the same answers." in text
    assert {"DAU, 120 days", "retention", "ratio"} <= set(
        re.findall(r"DAU, 120 days|retention|ratio", text)
    )


def test_notebooks_are_thin_and_kept_with_their_pictures() -> None:
    for path in NOTEBOOKS.glob("*.ipynb"):
        cells = [each for each in kept(path.stem)["cells"] if each["cell_type"] == "code"]
        lines = [line for each in cells for line in each["source"] if line.strip()]
        assert len(lines) <= 80, path.name
        assert all(
            not each["outputs"] or each["outputs"][0]["output_type"] != "error" for each in cells
        )
        assert "image/png" in path.read_text("utf-8"), path.name
        assert path.stat().st_size < 1_000_000, path.name

"""docs/soak.md says what the published run found: also what is not level yet."""

from __future__ import annotations

import orjson

from benchmarks.soak.page import PAGE, PLOT, PUBLISHED, page


def test_the_page_is_that_of_the_published_run() -> None:
    run = orjson.loads(PUBLISHED.read_bytes())
    assert PAGE.read_text() == page(run)
    assert PLOT.exists()
    assert not run["failures"]
    assert all(not name.startswith("compared") or "mirror" in name for name in run["counts"])

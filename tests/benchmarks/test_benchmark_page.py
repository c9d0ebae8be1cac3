"""docs/benchmarks.md says what the published run found."""

from __future__ import annotations

import orjson

from benchmarks.page import OF_THE_MIRROR, PAGE, PUBLISHED, http, loading, medians, page


def a_case(about: str, median: float, **extra: object) -> dict[str, object]:
    return {
        "extra_info": {"about": about, "others_busy": [0.02], **extra},
        "stats": {"median": median, "rounds": 7},
    }


def a_run() -> dict[str, object]:
    """SQL 1,000 ms, the mirror 4 ms; one load."""
    question = {"size": 1_000_000, "question": "DAU, 120 days"}
    load = {"kind": "exact", "clients": 8, "p50_ms": 9.0, "p99_ms": 21.0}
    facts = {"processor": "A processor", "cores": 2, "memory_gb": 8, "duckdb": "1.5.5"}
    return {
        "taken_at": "2026-11-24T16:00:00+00:00",
        "machine_info": facts,
        "benchmarks": [
            a_case("question", 1.0, way="postgres", **question),
            a_case("question", 0.004, way="mirror", **question),
            a_case("http", 0.5, size=1_000_000, requests_per_second=456.7, **load),
            a_case("dau", 0.0051, size=100_000),
            a_case("loading", 0.25, events=100_000, way="bare COPY"),
            a_case("loading", 0.5, events=100_000, way="CSV", of_bare_copy=0.504),
        ],
    }


def written(run: dict[str, object]) -> str:
    return page(run, orjson.loads(OF_THE_MIRROR.read_bytes()))


def test_medians_and_their_ratio_are_shown() -> None:
    shown = written(a_run())

    assert "| question | postgres | mirror | SQL : mirror |" in shown
    assert "| DAU, 120 days | 1,000 | 4.0 | 250x |" in shown
    assert "| exact | 8 | 9.0 | 21.0 | 457 |" in shown
    assert "| bare COPY | 100,000 | 400,000 |  |" in shown
    assert "| CSV | 100,000 | 200,000 | 0.50 |" in shown
    assert "5.1 ms, the median of 7" in shown
    assert "| first build | " in shown


def test_a_machine_that_others_used_is_not_called_quiet() -> None:
    run = a_run()
    assert "not quiet" not in written(run)
    run["benchmarks"][2]["extra_info"]["others_busy"] = [0.7]  # type: ignore[index]
    assert "not quiet" in written(run)


def test_the_page_says_what_the_published_run_found() -> None:
    run = orjson.loads(PUBLISHED.read_bytes())
    assert medians(run)
    assert http(run)
    assert loading(run)
    assert PAGE.read_text() == written(run), (
        "run: make benchmark-page RUN=benchmarks/results/benchmark.json"
    )

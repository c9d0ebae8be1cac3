"""The report: it adds up or it is none."""

from __future__ import annotations

import pytest

from ingest.report import Report


def test_report_whose_counts_do_not_add_up_is_refused() -> None:
    with pytest.raises(AssertionError, match="3 rows were read, but 2 are accounted for"):
        Report(rows=3, inserted=1, duplicates=0, rejected=1)


def test_report_as_json_has_every_count() -> None:
    report = Report(3, 1, 1, 1, 2, 1, 99, 0.5, ("extra",))
    assert report.as_json() == {
        "rows": 3,
        "inserted": 1,
        "duplicates": 1,
        "rejected": 1,
        "batches": 2,
        "staged_batches": 1,
        "bytes_read": 99,
        "seconds": 0.5,
        "ignored_columns": ["extra"],
        "rejects": [],
    }

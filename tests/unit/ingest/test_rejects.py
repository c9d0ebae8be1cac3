"""Rejects: how they read, and that every code has its sentence."""

from __future__ import annotations

from uuid import UUID

from ingest.rejects import MEANINGS, Code, Reject, Unit, shown


def test_every_code_has_a_sentence() -> None:
    assert set(MEANINGS) == set(Code)
    assert all(meaning.endswith(".") for meaning in MEANINGS.values())


def test_reject_reads_as_a_line_and_as_json() -> None:
    reject = Reject(
        7, Unit.LINE, Code.MISSING_FIELD, "user_id", "user_id is empty", UUID(int=1), "1,,"
    )
    assert str(reject) == "line 7: user_id is empty"
    assert reject.as_json() == {
        "position": 7,
        "unit": "line",
        "code": "missing_field",
        "field": "user_id",
        "message": "user_id is empty",
        "event_id": "00000000-0000-0000-0000-000000000001",
        "raw": "1,,",
    }


def test_values_are_shown_on_one_line_and_shortened() -> None:
    assert shown("a\n\x1b[31m" + "b" * 100) == "'a\\n\\x1b[31m" + "b" * 52 + "…'"

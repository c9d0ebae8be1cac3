"""Encoding for COPY: both ways make the same bytes."""

from __future__ import annotations

import pytest

from analytics.events import ProjectId
from ingest import encode
from ingest.encode import Encoder, default_encoder, encode_arrow, encode_python
from tests.unit.ingest.rows import check, csv_file, row

ROWS = [
    row(1, occurred_at="0001-01-01T00:00:00Z", user_id="\U0001f600" * 200, properties=""),
    row(2, occurred_at="9999-12-31T23:59:59.999999Z"),
    row(3, occurred_at="1999-12-31T23:59:59.999999Z", event_type="a\nb"),
]


def test_python_encodes_as_pgpq_does() -> None:
    pytest.importorskip("pgpq", reason="has no wheel for Linux on ARM")
    (checked,) = check(csv_file(ROWS))
    for events in (checked.events, checked.events.slice(1, 1), checked.events.slice(3)):
        assert encode_python(ProjectId(-7), events) == encode_arrow(ProjectId(-7), events)


@pytest.mark.parametrize(("installed", "encoder"), [(True, encode_arrow), (False, encode_python)])
def test_pgpq_is_used_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, installed: bool, encoder: Encoder
) -> None:
    monkeypatch.setattr(encode, "find_spec", lambda _: installed or None)
    assert default_encoder() is encoder

"""UUIDs: which spellings are taken."""

from __future__ import annotations

from uuid import UUID

import pyarrow as pa
import pytest

from ingest.identifiers import parse_uuid, parse_uuids

ONE = UUID("6b1f5f0e-6c0a-4d7e-9d3e-0b6f2b3c4d5e")


@pytest.mark.parametrize(
    "text",
    [
        "6b1f5f0e-6c0a-4d7e-9d3e-0b6f2b3c4d5e",
        "6B1F5F0E-6C0A-4D7E-9D3E-0B6F2B3C4D5E",
        "6b1f5f0e6c0a4d7e9d3e0b6f2b3c4d5e",
        "{6b1f5f0e-6c0a-4d7e-9d3e-0b6f2b3c4d5e}",
        "{6b1f5f0e6c0a4d7e9d3e0b6f2b3c4d5e}",
        "urn:uuid:6b1f5f0e-6c0a-4d7e-9d3e-0b6f2b3c4d5e",
    ],
)
def test_every_spelling_that_means_one_uuid_is_taken(text: str) -> None:
    values, bad = parse_uuids(pa.array([text]))
    assert (values.to_pylist(), bad, parse_uuid(text)) == ([ONE.bytes], [], ONE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "6b1f5f0e-6c0a-4d7e-9d3e-0b6f2b3c4d5",
        "6b1f5f0e-6c0a-4d7e-9d3e-0b6f2b3c4d5g",
        "6b1f5f0e06c0a-4d7e-9d3e-0b6f2b3c4d5e",
        "6b1f5f0e6c0a-4d7e-9d3e-0b6f2b3c4d5e",
        "6b1f5f0e-6c0a-4d7e-9d3e0b6f2b3c4d5e",
        "{6b1f5f0e-6c0a-4d7e-9d3e-0b6f2b3c4d5e",
        "6b1f5f0e-6c0a-4d7e-9d3e-0b6f2b3c4d5e}",
        " 6b1f5f0e-6c0a-4d7e-9d3e-0b6f2b3c4d5e",
        "6b1f_5f0e6c0a4d7e9d3e0b6f2b3c4d5e",
        "+b1f5f0e6c0a4d7e9d3e0b6f2b3c4d5e",
        "\uff16b1f5f0e6c0a4d7e9d3e0b6f2b3c4d5e",
    ],
)
def test_what_may_be_a_damaged_uuid_is_refused(text: str) -> None:
    values, bad = parse_uuids(pa.array([text]))
    assert (values.to_pylist(), bad, parse_uuid(text)) == ([bytes(16)], [0], None)


def test_spellings_mixed_in_a_slice_keep_their_rows() -> None:
    texts = pa.array(["left out", str(ONE), "nonsense", ONE.hex, str(ONE)]).slice(1)
    values, bad = parse_uuids(texts)
    assert values.to_pylist() == [ONE.bytes, bytes(16), ONE.bytes, ONE.bytes]
    assert bad == [1]


def test_empty_column_gives_an_empty_column() -> None:
    values, bad = parse_uuids(pa.array([], pa.string()))
    assert (values, bad) == (pa.array([], pa.binary(16)), [])

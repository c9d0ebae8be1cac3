"""UUIDs in texts, a column at a time.

The usual spelling, 8-4-4-4-12 hexadecimal digits, is decoded by numpy. Taken too, one by one: 32
digits without hyphens, either form in {braces}, and either with `urn:uuid:` before it, all in upper
or lower case. Each of these can only mean one UUID. What else uuid.UUID takes (hyphens anywhere,
underscores, signs) is refused: it is more likely a damaged value.
"""

from __future__ import annotations

import re
from typing import Final
from uuid import UUID, uuid5

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from analytics.events import MAX_TEXT_CHARACTERS

UUID_BYTES: Final = 16

_LENGTH: Final = 36
_HYPHENS: Final = [8, 13, 18, 23]
_DIGITS: Final = [place for place in range(_LENGTH) if place not in _HYPHENS]
_NO_DIGIT: Final = 255
_TEXT: Final = re.compile(
    r"(?:urn:uuid:)?(?P<brace>\{)?"
    r"([0-9a-f]{8})(?P<hyphen>-)?([0-9a-f]{4})(?(hyphen)-)([0-9a-f]{4})(?(hyphen)-)"
    r"([0-9a-f]{4})(?(hyphen)-)([0-9a-f]{12})(?(brace)\})",
    re.IGNORECASE | re.ASCII,
)


def _digit_values() -> npt.NDArray[np.uint8]:
    values = np.full(256, _NO_DIGIT, np.uint8)
    for value, digit in enumerate("0123456789abcdef"):
        values[[ord(digit), ord(digit.upper())]] = value
    return values


_VALUES: Final = _digit_values()


def parse_uuid(text: str) -> UUID | None:
    """The UUID that a text spells, or None."""
    match = _TEXT.fullmatch(text)
    return UUID("".join(match.group(2, 4, 5, 6, 7))) if match else None


def parse_uuids(texts: pa.StringArray) -> tuple[pa.FixedSizeBinaryArray, list[int]]:
    """The UUIDs of a column as 16 bytes each, and the rows that spell none.

    Those rows hold zeros in the result.
    """
    lengths = pc.binary_length(texts).to_numpy()
    usual = np.flatnonzero(lengths == _LENGTH)
    result = np.zeros((len(texts), UUID_BYTES), np.uint8)
    done = np.zeros(len(texts), bool)
    if len(usual):
        spelt, valid = _decode(texts if len(usual) == len(texts) else texts.take(pa.array(usual)))
        result[usual[valid]] = spelt[valid]
        done[usual[valid]] = True
    bad = []
    for row in np.flatnonzero(~done).tolist():
        parsed = parse_uuid(texts[row].as_py())
        if parsed is None:
            bad.append(row)
        else:
            result[row] = np.frombuffer(parsed.bytes, np.uint8)
    return fixed_bytes(result), bad


def derived_uuid(namespace: UUID, text: str) -> UUID | None:
    """uuid5 of an id that is no UUID; None if it is none at all: empty, too long, or with NUL."""
    if not text or len(text) > MAX_TEXT_CHARACTERS or "\0" in text:
        return None
    return uuid5(namespace, text)


def fixed_bytes(rows: npt.NDArray[np.uint8]) -> pa.FixedSizeBinaryArray:
    """An (n, 16) array of bytes as an Arrow column."""
    buffers = [None, pa.py_buffer(np.ascontiguousarray(rows))]
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(UUID_BYTES), len(rows), buffers)


def bytes_of(column: pa.FixedSizeBinaryArray) -> npt.NDArray[np.uint8]:
    """A column of UUIDs as an (n, 16) array of bytes, which can't be written to."""
    content = np.frombuffer(column.buffers()[1], np.uint8).reshape(-1, UUID_BYTES)
    return content[column.offset : column.offset + len(column)]


def _decode(
    texts: pa.StringArray,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """The bytes of texts of 36 bytes each, and which of them are UUIDs."""
    first = int(np.frombuffer(texts.buffers()[1], np.int32)[texts.offset])
    characters = np.frombuffer(texts.buffers()[2], np.uint8)
    characters = characters[first : first + len(texts) * _LENGTH].reshape(-1, _LENGTH)
    values: npt.NDArray[np.uint8] = _VALUES[characters[:, _DIGITS]]
    hyphens = characters[:, _HYPHENS] == ord("-")
    valid: npt.NDArray[np.bool_] = (values != _NO_DIGIT).all(axis=1) & hyphens.all(axis=1)
    return (values[:, 0::2] << 4 | values[:, 1::2]).astype(np.uint8), valid

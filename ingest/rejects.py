"""Rows that could not be taken: where each stood, why, and what was in it.

The codes are stable and all of them stand here. `sources` rejects what can't be told apart into
columns, `validate` what no events table would hold.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

REJECT_FIELD: Final = "rejected_because"
"""Name of a field that events read from JSON may have, and that is left out: see rejects_file."""

MAX_RAW_CHARACTERS: Final = 500
MAX_SHOWN_CHARACTERS: Final = 60


class Unit(StrEnum):
    """What the positions of a source count."""

    LINE = "line"
    """Lines of the file, the first being 1, the header's included; a row is where it begins."""
    INDEX = "index"
    """Elements of an array or rows of a table, the first being 0."""


class Code(StrEnum):
    """Why a row was rejected; MEANINGS has a sentence for each."""

    WRONG_CELL_COUNT = "wrong_cell_count"
    BROKEN_QUOTING = "broken_quoting"
    INVALID_UTF8 = "invalid_utf8"
    REPEATED_HEADER = "repeated_header"
    INVALID_JSON = "invalid_json"
    NOT_AN_OBJECT = "not_an_object"
    UNKNOWN_FIELD = "unknown_field"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    INVALID_EVENT_ID = "invalid_event_id"
    INVALID_TIMESTAMP = "invalid_timestamp"
    NAIVE_TIMESTAMP = "naive_timestamp"
    TIMESTAMP_OUT_OF_RANGE = "timestamp_out_of_range"
    TIMESTAMP_AHEAD = "timestamp_ahead"
    TOO_LONG = "too_long"
    NUL_CHARACTER = "nul_character"
    INVALID_PROPERTIES = "invalid_properties"
    TOO_DEEP = "too_deep"
    NUMBER_OUT_OF_RANGE = "number_out_of_range"


MEANINGS: Final = {
    Code.WRONG_CELL_COUNT: "The row has more or fewer cells than the header.",
    Code.BROKEN_QUOTING: "A quote is never closed, or something follows a closing quote.",
    Code.INVALID_UTF8: "The row is not UTF-8 text.",
    Code.REPEATED_HEADER: "The row is the header once more, as in files put one behind the other.",
    Code.INVALID_JSON: "The line, or the element of the array, is not JSON.",
    Code.NOT_AN_OBJECT: "The line, or the element of the array, is not a JSON object.",
    Code.UNKNOWN_FIELD: "The event has a field that events don't have.",
    Code.MISSING_FIELD: "A required field is absent, null or empty.",
    Code.WRONG_TYPE: "The field holds another JSON type than it should.",
    Code.INVALID_EVENT_ID: "event_id is not a UUID, where nothing else is taken.",
    Code.INVALID_TIMESTAMP: "occurred_at is not an ISO 8601 date and time, or one that never was.",
    Code.NAIVE_TIMESTAMP: "occurred_at names no zone, so it is no instant.",
    Code.TIMESTAMP_OUT_OF_RANGE: "occurred_at lies outside the years 1 to 9999 in UTC.",
    Code.TIMESTAMP_AHEAD: "occurred_at lies too far in the future.",
    Code.TOO_LONG: "A text has too many characters, or properties has too many bytes.",
    Code.NUL_CHARACTER: "The field holds a NUL character, which Postgres can't store.",
    Code.INVALID_PROPERTIES: "properties is not a JSON object.",
    Code.TOO_DEEP: "properties nests objects and arrays too deep.",
    Code.NUMBER_OUT_OF_RANGE: "properties holds a number that Postgres can't store.",
}


@dataclass(frozen=True, slots=True)
class Reject:
    """One row that was not taken.

    Attributes:
        position: Where it stands in the source, counted in `unit`.
        unit: What `position` counts.
        code: Why, in a form programs may rely on.
        field: The column it is about, if it is about one.
        message: What was given and what is allowed, in one line for people.
        event_id: The row's id, if that much could be read.
        raw: The row as it came, at most MAX_RAW_CHARACTERS of it.
        record: The whole row as a JSON object with the columns of an event, where it could be told
            apart; see ingest.rejects_file.
    """

    position: int
    unit: Unit
    code: Code
    field: str | None
    message: str
    event_id: UUID | None
    raw: str
    record: str | None = dataclasses.field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.unit} {self.position}: {self.message}"

    def as_json(self) -> dict[str, object]:
        """The same with names and values that JSON has."""
        return {
            "position": self.position,
            "unit": self.unit.value,
            "code": self.code.value,
            "field": self.field,
            "message": self.message,
            "event_id": None if self.event_id is None else str(self.event_id),
            "raw": self.raw,
        }


RejectSink = Callable[[Sequence[Reject]], None]
"""Takes the rejects of a batch, in the order of the source, once that batch is committed."""


def shortened(text: str, limit: int = MAX_SHOWN_CHARACTERS) -> str:
    """At most `limit` characters of the text, with an ellipsis where the rest is left out."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def shown(text: str) -> str:
    """A value as messages show it: quoted, on one line, shortened."""
    return f"'{in_line(text)}'"


def in_line(text: str) -> str:
    """A name as messages list it: on one line, shortened."""
    return "".join(map(_printable, shortened(text)))


def _printable(character: str) -> str:
    return character if character.isprintable() else repr(character)[1:-1]

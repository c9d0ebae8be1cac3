"""What comes back: the rows of an answer, and the facts about how it came about.

Rows are frozen dataclasses that the questions define; this module fixes what surrounds them and how
both look as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Generic, Protocol, TypeAlias, TypeVar

Json: TypeAlias = bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"] | None


class Row(Protocol):
    """One row of an answer.

    A dataclass without slots: orjson, which writes rows over HTTP, takes five times as long where
    it has to ask for each attribute, and the server does nothing else meanwhile.
    """

    def as_json(self) -> Mapping[str, Json]:
        """The row as it stands in a JSON answer: days as YYYY-MM-DD, what is unknown as null."""
        ...


RowT_co = TypeVar("RowT_co", bound=Row, covariant=True)


@dataclass(frozen=True, slots=True)
class Meta:
    """How an answer came about.

    Attributes:
        engine: name of the engine that answered.
        reason: why this one, in a few words.
        as_of: UTC instant, by the clock of Postgres; every event committed before it is counted. Of
            a file: when it was read.
        elapsed_ms: milliseconds from question to answer, the way to the server included.
        lag_seconds: how far the answer may be behind Postgres; 0 for live rows.
        data_version: the same text again means: nothing that the question could see has changed.
            None where the engine doesn't know.
    """

    engine: str
    reason: str
    as_of: datetime
    elapsed_ms: float
    lag_seconds: float = 0.0
    data_version: str | None = None

    def as_json(self) -> Mapping[str, Json]:
        """The facts under their own names; `as_of` in UTC to the microsecond, ending in Z."""
        return {
            "engine": self.engine,
            "reason": self.reason,
            "as_of": self.as_of.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "lag_seconds": self.lag_seconds,
            "data_version": self.data_version,
            "elapsed_ms": round(self.elapsed_ms, 3),
        }


@dataclass(frozen=True, slots=True)
class Answer(Generic[RowT_co]):
    """Rows in the question's own total order, and how they came about. It can be pickled."""

    rows: tuple[RowT_co, ...]
    meta: Meta

    def because(self, reason: str) -> Answer[RowT_co]:
        """The same answer with another reason for its engine."""
        return replace(self, meta=replace(self.meta, reason=reason))

    def as_json(self) -> Mapping[str, Json]:
        """`{"data": [row, ...], "meta": {...}}`, ready for any JSON writer."""
        return {"data": [row.as_json() for row in self.rows], "meta": self.meta.as_json()}

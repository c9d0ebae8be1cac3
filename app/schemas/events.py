"""Body and answer of POST /events.

The body itself is decoded by `ingest`, in columns; this describes it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from analytics.events import MAX_TEXT_CHARACTERS
from app.schemas.examples import UUID_TEXT, shown

_REJECTED: Final[dict[str, Any]] = {
    "position": 3,
    "unit": "index",
    "code": "missing_field",
    "field": "user_id",
    "message": "Every event has a user_id",
    "event_id": UUID_TEXT,
    "raw": "{}",
}


class Event(BaseModel):
    """One event: who did what, when."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "event_id": "6b1f5f0e-6c0a-4d7e-9d3e-0b6f2b3c4d5e",
                "occurred_at": "2025-08-01T10:15:00Z",
                "user_id": "ann",
                "event_type": "login",
                "properties": {"plan": "pro"},
            }
        },
    )

    event_id: UUID | Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARACTERS)] | int = (
        Field(description="A UUID; other texts and integers are taken too, as the `uuid5` of them.")
    )
    occurred_at: datetime = Field(description="RFC 3339, with a zone; kept to the microsecond.")
    user_id: str | int = Field(
        description=f"1 to {MAX_TEXT_CHARACTERS} characters; an integer is kept as its digits."
    )
    event_type: str = Field(min_length=1, max_length=MAX_TEXT_CHARACTERS)
    properties: dict[str, Any] | None = Field(
        default={}, description="Any JSON object; null is an empty one."
    )


class Rejected(BaseModel):
    """An event that is none."""

    model_config = shown(_REJECTED)

    position: int = Field(description="Where it stood, counted in `unit`.")
    unit: str = Field(description="What positions count: index, line, row.")
    code: str = Field(description="Why, in a form programs may rely on.")
    field: str | None
    message: str
    event_id: UUID | None
    raw: str = Field(description="The event as it came, at most 500 characters of it.")


class Accepted(BaseModel):
    """Every id of a JSON request, in the order sent: new here, or here already."""

    model_config = shown({"inserted": [UUID_TEXT], "duplicates": [], "rejected": [_REJECTED]})

    inserted: list[UUID]
    duplicates: list[UUID]
    rejected: list[Rejected] | None = Field(
        default=None, description="With on_reject=skip: the events that are none."
    )


class Loaded(BaseModel):
    """How many rows of a body became what; the three add up to `rows`."""

    model_config = shown(
        {
            "rows": 1000,
            "inserted": 990,
            "duplicates": 9,
            "rejected": 1,
            "batches": 1,
            "staged_batches": 1,
            "bytes_read": 98304,
            "seconds": 0.04,
            "ignored_columns": ["country"],
            "rejects": [_REJECTED],
            "one_transaction": True,
        }
    )

    rows: int
    inserted: int
    duplicates: int
    rejected: int
    batches: int = Field(description="Commits.")
    staged_batches: int = Field(description="Batches of these that met duplicates.")
    bytes_read: int = Field(description="Bytes of the body, decompressed.")
    seconds: float
    ignored_columns: list[str] = Field(description="Columns that events don't have.")
    rejects: list[Rejected] = Field(description="The first hundred.")
    one_transaction: bool = Field(
        description="Whether all rows were written in one transaction, or batch by batch."
    )

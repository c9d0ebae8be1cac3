"""Answers of erasures, and the period that a project keeps events for. Times in UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.erasure.receipts import Receipt
from app.erasure.storage_period import MOST_DAYS
from app.schemas.examples import BEGAN, UUID_TEXT, shown


class MirrorsAnswer(BaseModel):
    """How many mirrors there are, and how far they are with an erasure."""

    model_config = shown({"living": 2, "passed": 2, "clean": 1, "asleep": 0})

    living: int = Field(description="Mirrors that a server keeps now, or kept within the hour.")
    passed: int = Field(description="Of these, those whose answers are without the events.")
    clean: int = Field(description="Of these, those whose file never held them.")
    asleep: int = Field(
        description="Mirrors kept by no server for over an hour that may hold the events still; "
        "forgotten after a week. A server that comes back replaces its own."
    )


class ErasureAnswer(BaseModel):
    """The receipt of an erasure. It names nobody: keep its id with the request that led to it."""

    model_config = shown(
        {
            "id": UUID_TEXT,
            "events": 128,
            "transaction": 48211,
            "removed_at": BEGAN,
            "done": False,
            "removed": True,
            "log_pruned": True,
            "mirrors": {"living": 2, "passed": 2, "clean": 1, "asleep": 0},
        }
    )

    id: UUID
    events: int = Field(description="How many events were removed.")
    transaction: int = Field(description="Number of the Postgres transaction that removed them.")
    removed_at: datetime
    done: bool = Field(
        description="Whether neither Postgres, nor a living mirror's file, nor the log of removals"
        " holds them any more."
    )
    removed: bool = Field(
        description="Whether all events are gone from Postgres: of a person at once, of a deleted"
        " project batch by batch."
    )
    log_pruned: bool = Field(description="Whether the log of removals has forgotten them.")
    mirrors: MirrorsAnswer

    @classmethod
    def of(cls, receipt: Receipt) -> Self:
        """The answer for a receipt."""
        return cls(
            id=receipt.id,
            events=receipt.events,
            transaction=receipt.transaction,
            removed_at=receipt.removed_at,
            done=receipt.done,
            removed=receipt.removed,
            log_pruned=receipt.log_pruned,
            mirrors=MirrorsAnswer(**receipt.mirrors._asdict()),
        )


class StoragePeriod(BaseModel):
    """How long a project keeps events."""

    model_config = ConfigDict(extra="forbid") | shown({"days": 365})

    days: int | None = Field(
        ge=1,
        le=MOST_DAYS,
        description="Events of so many whole days before today, in the project's time zone, are "
        "kept, older ones removed for good; null keeps all.",
        examples=[365],
    )

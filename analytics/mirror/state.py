"""What a mirror's file says of itself, and whether what Postgres says agrees."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from analytics.mirror.errors import HistoryBroken
from analytics.mirror.history import Facts, History


@dataclass(frozen=True, slots=True)
class State:
    """What the file says of itself, in one transaction.

    Attributes:
        mirror_id: its own name, that of its lease.
        token: what the last sync wrote into the lease.
        horizon: the tidemark: every event of transactions below it is here.
        as_of: UTC instant; everything committed before it is here. None while that isn't known,
            because transactions were under way when the file was built.
        history: the Postgres it was built from.
    """

    mirror_id: UUID
    token: UUID
    horizon: int
    as_of: datetime | None
    history: History


def check(facts: Facts, state: State) -> None:
    """See to it that the file belongs to this history, and misses no removal.

    Raises:
        HistoryBroken: it doesn't, or may.
    """
    for name, ours, theirs in zip(state.history._fields, state.history, facts.history, strict=True):
        if ours != theirs:
            raise HistoryBroken(
                f"the mirror was built from another Postgres: its {name} was {ours}, is {theirs}",
                cause=name,
            )
    if state.token not in facts.tokens:
        raise HistoryBroken(
            "Postgres doesn't know the mirror's last sync: it was put back to an older state, "
            "or the lease is gone",
            cause="token",
        )
    if facts.xmin < state.horizon:
        raise HistoryBroken(
            f"the transaction counter went back: {facts.xmin} is below the tidemark "
            f"{state.horizon}",
            cause="counter",
        )
    if facts.removed_floor > state.horizon:
        raise HistoryBroken(
            f"removals below {facts.removed_floor} were pruned, the mirror had seen those below "
            f"{state.horizon}: it slept past its lease",
            cause="floor",
        )

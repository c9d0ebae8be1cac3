"""How much is measured for how many events; a few thousand only show that everything runs."""

from __future__ import annotations

from dataclasses import dataclass

FULL_SIZE = 1_000_000


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes of one run.

    Attributes:
        events: in the table.
        builds: of the mirror, each in a process of its own.
        rounds: in each, every engine is asked once, a fast one `repeats` times.
        tail, removals: rows that come and go while the background sync is held still.
        rate, seconds: of the steady ingest, in events a second.
        load: events of one load at full speed; there are `rounds` with a mirror, `rounds` without.
    """

    events: int
    builds: int = 3
    rounds: int = 5
    repeats: int = 10
    tail: int = 10_000
    removals: int = 100
    rate: int = 50_000
    seconds: int = 60
    load: int = 1_000_000

    @classmethod
    def of(cls, events: int) -> Scale:
        """The sizes for so many events."""
        if events >= FULL_SIZE:
            return cls(events)
        return cls(events, builds=1, rounds=1, repeats=2, tail=200, rate=1_000, seconds=2, load=500)

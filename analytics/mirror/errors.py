"""Why a mirror can't answer. Each is a reason to ask another engine, never to answer wrongly.

    Transient
    └── MirrorUnavailable      not now: it is being built, or too far behind
        ├── Overtaken          what was read is void; to read again is enough
        └── MirrorBroken       never again: the file has to be thrown away and built anew
            └── HistoryBroken  because Postgres may not be the one it was built from

`cause` is one word, the same in logs and metrics.
"""

from __future__ import annotations

from analytics.errors import Transient


class MirrorUnavailable(Transient):
    """The mirror can't answer just now; other engines can."""

    code = "mirror_unavailable"

    def __init__(self, message: str | None = None, *, cause: str = "unavailable") -> None:
        """Take the whole message, and the cause as one word."""
        super().__init__(message)
        self.cause = cause


class Overtaken(MirrorUnavailable):
    """A large sync came while the mirror was read; ask again."""

    code = "mirror_overtaken"

    def __init__(self) -> None:
        super().__init__(cause="overtaken")


class MirrorBroken(MirrorUnavailable):
    """The mirror's file can't be trusted; it is built anew."""

    code = "mirror_broken"


class HistoryBroken(MirrorBroken):
    """Postgres is not the one the mirror was built from."""

    code = "mirror_history_broken"

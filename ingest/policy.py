"""What becomes of the good events of a request that has bad ones too."""

from __future__ import annotations

from enum import StrEnum


class OnReject(StrEnum):
    """ABORT: nothing of the request is written. SKIP: the good events are, the bad ones listed."""

    ABORT = "abort"
    SKIP = "skip"

"""A large body of events, sent while something else happens."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from tests.faults.service import Reply
from tests.faults.traffic import LONGEST_SECONDS, Traffic, events

COLUMNS = ("event_id", "occurred_at", "user_id", "event_type")


def as_csv(rows: Sequence[dict[str, str]]) -> bytes:
    lines = [",".join(COLUMNS), *(",".join(row[name] for name in COLUMNS) for row in rows)]
    return "\n".join(lines).encode() + b"\n"


class Bulk(threading.Thread):
    """One request with many events, sent in a thread; whoever joins it finds its reply."""

    def __init__(self, traffic: Traffic, rows: int) -> None:
        super().__init__()
        events_sent = events(500_000_000, rows)
        self.ids = [event["event_id"] for event in events_sent]
        self.reply = Reply(0, None)
        self._traffic = traffic
        self._body = as_csv(events_sent)
        traffic.expect(self.ids)

    def run(self) -> None:
        service = self._traffic.service
        headers = {**service.keys["ingest"], "Content-Type": "text/csv"}
        self.reply = service.request("POST", "/api/events", self._body, headers, 60)
        if self.reply.status == 200:
            self._traffic.acknowledge(self.ids)

    def send_until_taken(self) -> None:
        """What a client does whose request broke off."""
        end = time.monotonic() + LONGEST_SECONDS
        while self.reply.status != 200:
            assert time.monotonic() < end, self.reply
            self.run()

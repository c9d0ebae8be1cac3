"""The library and the API asked for the same: every number is compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from fastapi.testclient import TestClient

from analytics import Analytics
from analytics.calendar import WeekStart, local_date
from tests.api.conftest import Caller
from tests.conftest import Database
from tests.data import copy_events, data_set, event_table, of_project, span

CALENDARS = [
    ("git_rails", "America/New_York", WeekStart.SUNDAY),
    ("rete_ecom", "Europe/Kyiv", WeekStart.MONDAY),
]


@dataclass(frozen=True, slots=True)
class Both:
    """One project over HTTP and in Python: by its own mirror, live, and from its events alone."""

    client: TestClient
    caller: Caller
    library: dict[str, Analytics]
    first: str
    last: str

    def data(self, path: str, **parameters: object) -> object:
        answer = self.client.get(path, headers=self.caller.read, params=parameters)  # type: ignore[arg-type]
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="module", params=CALENDARS, ids=lambda each: each[0])
def both(
    request: pytest.FixtureRequest,
    client: TestClient,
    make_caller: Callable[..., Caller],
    module_database: Database,
) -> Iterator[Both]:
    name, timezone, week_start = request.param
    caller = make_caller(f"library {name}", timezone, week_start)
    copy_events(module_database.writer, of_project(caller.project.id, data_set(name)))
    first, last = (day.isoformat() for day in span(name))
    url, project = module_database.reader, caller.project.name
    with (
        Analytics.connect(url, project) as mirrored,
        Analytics.connect(url, project, mirror=False) as live,
        Analytics.from_arrow(
            event_table(data_set(name)), timezone=timezone, week_start=week_start.value
        ) as held,
    ):
        mirrored.sync()
        library = {"mirror": mirrored, "live": live, "file": held}
        yield Both(client, caller, library, first, last)


def test_daily_active_users_are_equal(both: Both) -> None:
    theirs = both.data("/api/stats/dau", **{"from": both.first, "to": both.last})
    for name, library in both.library.items():
        ours = library.dau(both.first, both.last)
        assert [row.as_json() for row in ours] == theirs, name
        assert ours.pandas()["dau"].tolist() == [row["dau"] for row in theirs]  # type: ignore[attr-defined]


def test_top_events_are_equal(both: Both) -> None:
    for limit in (3, 1000):
        asked = {"from": both.first, "to": both.last, "limit": limit}
        theirs = both.data("/api/stats/top-events", **asked)
        for name, library in both.library.items():
            ours = library.top_events(both.first, both.last, limit)
            assert [row.as_json() for row in ours] == theirs, name


def test_retention_is_equal(both: Both) -> None:
    theirs = both.data("/api/stats/retention", start_date=both.first, window=12)
    today = local_date(both.caller.project.timezone, datetime.now(UTC))
    for name, library in both.library.items():
        ours = library.retention(both.first, window=12, today=today)
        assert [row.as_json() for row in ours] == theirs, name
        cells = [cell for row in theirs for cell in row["weeks"]]  # type: ignore[attr-defined]
        flat = ours.arrow().to_pylist()
        assert [(row["active"], row["percent"], row["complete"]) for row in flat] == [
            (cell["active"], cell["percent"], cell["complete"]) for cell in cells
        ]

"""Every limit on callers, in one table: what is counted, for whom, and how much a minute.

| limit        | charged to         | counts                         | setting                   |
|--------------|--------------------|--------------------------------|---------------------------|
| events       | the key            | events; a request at least one | RATE_LIMIT                |
| stats        | the key or user    | points, see `cost`             | STATS_RATE_LIMIT          |
| requests     | the key or user    | requests of all other kinds    | REQUEST_RATE_LIMIT        |
| auth_address | the address        | requests under /auth           | AUTH_ADDRESS_RATE_LIMIT   |
| auth_account | the e-mail address | attempts to sign in            | AUTH_ACCOUNT_RATE_LIMIT   |

Beside the last two stands the back-off of `attempts`. A limit is also how much may come at once
after a pause.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv6Address, ip_address
from typing import Any, Final

from pyrate_limiter import Duration, Rate
from starlette.requests import HTTPConnection

from analytics.questions.day_range import DayRange
from analytics.questions.question import Question
from app.accounts.access import Caller
from app.settings import Settings

DAYS_A_POINT: Final = 92
"""A quarter; most questions ask for less and cost one point."""
COST_OF_ALL_ROWS: Final = 10
"""How many times as much it costs to have an engine named that reads every row of the range."""


@dataclass(frozen=True, slots=True)
class Limit:
    """So many units a minute.

    Attributes:
        name: In metrics, in Redis, and in the header RateLimit-Policy.
        setting: The setting that says how many.
        unit: What is counted, in the plural.
        rate: How many, and how many at once.
    """

    name: str
    setting: str
    unit: str
    rate: Rate


class PayerKind(StrEnum):
    """What can be charged."""

    KEY = "key"
    USER = "user"
    ADDRESS = "address"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class Payer:
    """Who is charged."""

    kind: PayerKind
    name: str

    @property
    def passes_without_redis(self) -> bool:
        """Whether it is let pass where nobody can say what it has used.

        A key was checked in Postgres, and losing events is worse than taking too many. Sign-in and
        everything by access token needs Redis anyway, for sessions, and guessing must not be free.
        """
        return self.kind is PayerKind.KEY

    def __str__(self) -> str:
        """Its name in Redis. An account's is a hash: no e-mail address belongs there."""
        if self.kind is PayerKind.ACCOUNT:
            return f"account:{hashlib.sha256(self.name.encode()).hexdigest()[:32]}"
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one process."""

    events: Limit
    stats: Limit
    requests: Limit
    auth_address: Limit
    auth_account: Limit

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """Those that the settings say."""

        def limit(name: str, setting: str, unit: str) -> Limit:
            allowed = getattr(settings, setting.lower())
            return Limit(name, setting, unit, Rate(allowed, Duration.MINUTE))

        return cls(
            events=limit("events", "RATE_LIMIT", "events"),
            stats=limit("stats", "STATS_RATE_LIMIT", "points of questions"),
            requests=limit("requests", "REQUEST_RATE_LIMIT", "requests"),
            auth_address=limit("auth_address", "AUTH_ADDRESS_RATE_LIMIT", "requests for sign-in"),
            auth_account=limit("auth_account", "AUTH_ACCOUNT_RATE_LIMIT", "attempts to sign in"),
        )


def cost(question: Question[Any], engine: str | None) -> int:
    """What a question costs: a point, and one more for every DAYS_A_POINT days that it spans.

    COST_OF_ALL_ROWS times that with an engine named other than the mirror. A price known before
    rather than the time it took: callers can reckon with it, and don't pay for a busy machine.
    """
    points = 1 + _days(question) // DAYS_A_POINT
    return points * COST_OF_ALL_ROWS if engine not in {None, "mirror"} else points


def payer_of(caller: Caller) -> Payer:
    """Whoever is charged for what a caller asks for."""
    if caller.key_id is not None:
        return Payer(PayerKind.KEY, str(caller.key_id))
    return Payer(PayerKind.USER, str(caller.user_id or "benchmark"))


def address_of(request: HTTPConnection) -> Payer:
    """Where a request comes from: an IPv4 address, or the /64 that anybody with IPv6 has whole.

    `request.client` is the peer of the connection, or what a proxy of FORWARDED_ALLOW_IPS says.
    """
    host = request.client.host if request.client is not None else ""
    return Payer(PayerKind.ADDRESS, network(host))


def network(host: str) -> str:
    """An address as it is charged."""
    try:
        address = ip_address(host)
    except ValueError:
        return "unknown"  # a Unix socket, or a proxy that says "unknown"
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"


def _days(question: Question[Any]) -> int:
    """How many days a question spans: those it names, or the weeks of its cohorts."""
    days = getattr(question, "days", None)
    if isinstance(days, DayRange):
        return len(days)
    return 7 * int(getattr(question, "cohort_weeks", 0))

"""A transaction that is committed once and for certain, whatever happens to the connection.

Writing again is safe, for the key refuses what is there already. Counting is not: if a commit goes
unanswered and the work is done again, rows that it wrote would be counted as duplicates. So the
transaction's number is noted before the commit, and Postgres is asked what became of it. (After a
failover to a standby the numbers mean something else: there the count may be wrong, never the
table.)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import ClassVar, Final, TypeVar

import asyncpg

from analytics.errors import Transient, Unreachable

T = TypeVar("T")

CONFLICTS: Final = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
"""Another transaction was in the way; this one was rolled back."""

AWAY: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what a connection says that was closed while nobody used it
    OSError,
    Unreachable,
)
"""The server can't be spoken to just now."""

ANSWER_SECONDS: Final = 30.0
"""How long all of a transaction may take: far longer than a batch does, where Postgres is alive."""

_WAITS: Final = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)  # seconds before each attempt: a restart's time
_XID: Final = "select pg_current_xact_id()::text"
_IMPATIENT_XID: Final = "select pg_current_xact_id()::text, set_config('lock_timeout', $1, true)"
_STATUS: Final = "select pg_xact_status($1::text::xid8)"


class ContactLost(Transient):
    """Postgres stayed away, kept silent or kept rolling back, for longer than we wait."""

    code = "contact_lost"
    who: ClassVar[str] = "Postgres"


async def committed(
    pool: asyncpg.Pool,
    work: Callable[[asyncpg.Connection], Awaitable[T]],
    *,
    lock_timeout: str | None = None,
    seconds: float = ANSWER_SECONDS,
) -> T:
    """Does the work in a transaction and returns its result once that is committed.

    The work is done again, on a fresh connection, when the transaction is known to have left
    nothing behind. `lock_timeout` is Postgres's setting of that name, like "500ms"; by default the
    server's own. After so many `seconds` it is given up, tried again or not.

    Raises:
        ContactLost: It failed again and again, or nobody could say whether it was committed.
        asyncpg.LockNotAvailableError: It waited for a lock for longer than `lock_timeout`.
        asyncpg.PostgresError: Postgres refuses the work for another reason.
    """
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds
    failure: Exception | None = None
    unanswered: tuple[str, T] | None = None
    for wait in _WAITS:
        if loop.time() + wait >= ends:
            break
        await asyncio.sleep(wait)
        try:
            async with lent(pool, ends - loop.time()) as connection:
                if unanswered is not None:
                    xid, result = unanswered
                    if await _was_committed(connection, xid):
                        return result
                    unanswered = None
                async with connection.transaction(isolation="read_committed"):
                    xid = await _number(connection, lock_timeout)
                    result = await work(connection)
                    unanswered = (xid, result)
                return result
        except CONFLICTS as error:
            unanswered, failure = None, error
        except AWAY as error:
            if isinstance(error, ValueError):  # asyncpg's word for an argument of the wrong type
                raise
            failure = error
    raise ContactLost(str(failure) or type(failure).__name__) from failure


@asynccontextmanager
async def lent(pool: asyncpg.Pool, seconds: float) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the pool for so many seconds, the wait for it included.

    Then it is closed under whoever still waits for an answer. To cancel them would not do: asyncpg
    asks the server to cancel, and waits until it has.

    Raises:
        Unreachable: The time is over.
    """
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds
    try:
        async with asyncio.timeout_at(ends):
            connection = await pool.acquire()
    except TimeoutError as error:
        raise _silent(seconds) from error
    cut = loop.call_at(ends, _drop, connection)
    try:
        yield connection
    except AWAY as error:
        # A pool doesn't always see that a connection is broken, and would hand it out again.
        _drop(connection)
        if loop.time() >= ends:
            raise _silent(seconds) from error
        raise
    finally:
        cut.cancel()
        await pool.release(connection)


def _drop(connection: asyncpg.Connection) -> None:
    with suppress(asyncpg.InterfaceError):  # it is dropped already
        connection.terminate()


def _silent(seconds: float) -> Unreachable:
    return Unreachable(f"Postgres has not answered for {seconds:.0f} s. Does it hang?")


async def _number(connection: asyncpg.Connection, lock_timeout: str | None) -> str:
    """The transaction's own, which Postgres can be asked about later."""
    if lock_timeout is None:
        return str(await connection.fetchval(_XID))
    return str(await connection.fetchval(_IMPATIENT_XID, lock_timeout))


async def _was_committed(connection: asyncpg.Connection, xid: str) -> bool:
    """What became of a transaction.

    Raises:
        Unreachable: Its connection is not closed yet on the server's side.
    """
    status = await connection.fetchval(_STATUS, xid)
    if status not in {"committed", "aborted"}:
        message = f"whether transaction {xid} was committed is not known yet"
        raise Unreachable(message)
    return bool(status == "committed")

"""A transaction that is committed once and for certain, whatever happens to the connection.

Writing again is safe, for the key refuses what is there already. Counting is not: if a commit goes
unanswered and the work is done again, rows that it wrote would be counted as duplicates. So the
number of each transaction is noted before its commit, and the work, done again, is told those that
had no answer: rows that are there and bear such a number (`events.ingest_xid`) are its own.

`pg_xact_status` would save the second writing, and lose events. A number whose rows never reached
the disk, or the standby that took over, is given to another transaction later, and is committed
then.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import ClassVar, Final, TypeAlias, TypeVar

import asyncpg

from analytics.errors import Transient, Unreachable

T = TypeVar("T")
Numbers: TypeAlias = Sequence[str]
"""Of transactions, as Postgres writes them: xid8."""

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


class ContactLost(Transient):
    """Postgres stayed away, kept silent or kept rolling back, for longer than we wait."""

    code = "contact_lost"
    who: ClassVar[str] = "Postgres"


async def committed(
    pool: asyncpg.Pool,
    work: Callable[[asyncpg.Connection, Numbers], Awaitable[T]],
    *,
    lock_timeout: str | None = None,
    seconds: float = ANSWER_SECONDS,
) -> T:
    """Does the work in a transaction and returns its result once that is committed.

    The work is done again, on a fresh connection, when the connection broke or another transaction
    was in the way. It is given the numbers of those of its transactions that may have been
    committed nevertheless, mostly none. `lock_timeout` is Postgres's setting of that name, like
    "500ms"; by default, and behind a commit that had no answer, the server's own. After so many
    `seconds` it is given up, tried again or not.

    Raises:
        ContactLost: It failed again and again, or the time was over; it may have been committed.
        asyncpg.LockNotAvailableError: It waited for a lock for longer than `lock_timeout`.
        asyncpg.PostgresError: Postgres refuses the work for another reason.
    """
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds
    failure: Exception | None = None
    unanswered: list[str] = []
    for wait in _WAITS:
        if loop.time() + wait >= ends:
            break
        await asyncio.sleep(wait)
        try:
            async with lent(pool, ends - loop.time()) as connection:
                async with connection.transaction(isolation="read_committed"):
                    # Whoever is in the way may be that commit, which still goes on.
                    number = await _number(connection, None if unanswered else lock_timeout)
                    # The present one may have the number of an earlier one that left no trace.
                    result = await work(connection, [each for each in unanswered if each != number])
                    unanswered.append(number)
                return result
        except CONFLICTS as error:
            failure = error
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
        # That may take long, too: for a borrower who was cancelled it waits until the server has
        # stopped what it does. The pool closes a connection that it can't get back in order.
        try:
            with suppress(*AWAY):
                await pool.release(connection)
        finally:
            cut.cancel()


def _drop(connection: asyncpg.Connection) -> None:
    with suppress(asyncpg.InterfaceError):  # it is dropped already
        connection.terminate()


def _silent(seconds: float) -> Unreachable:
    return Unreachable(f"Postgres has not answered for {seconds:.0f} s. Does it hang?")


async def _number(connection: asyncpg.Connection, lock_timeout: str | None) -> str:
    """The transaction's own, which each event that it writes will bear."""
    if lock_timeout is None:
        return str(await connection.fetchval(_XID))
    return str(await connection.fetchval(_IMPATIENT_XID, lock_timeout))

"""How often somebody may try to sign in: by address, by account, and with waits that grow.

Nobody is locked out, so nobody can lock another out for good. After FREE_FAILURES failures in a row
the next attempt from the same address on the same account has to wait a second, then two, four, and
so on up to AUTH_LONGEST_WAIT; from other addresses the account can be signed in to as before, as
long as AUTH_ACCOUNT_RATE_LIMIT lets it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from app.limits import Payer, PayerKind
from app.quick_redis import QuickRedis
from app.throttle import Throttle, throttled

FREE_FAILURES: Final = 5
FORGOTTEN_AFTER: Final = timedelta(hours=1)
_PREFIX: Final = "tidemark:attempts"

# Counts an attempt as failed, or answers how many milliseconds are left to wait before one. Counted
# at its beginning, so that a hundred at the same time are not all let through. Redis's own clock:
# the waits of all processes are one.
_BEGIN: Final = """
local free, longest, kept = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('HMGET', KEYS[1], 'failures', 'until')
local failures, wait_until = tonumber(known[1] or 0) + 1, tonumber(known[2] or 0)
if wait_until > now then
    return wait_until - now
end
local wait = 0
if failures > free then
    wait = math.min(longest, 1000 * 2 ^ math.min(failures - free - 1, 30))
end
redis.call('HSET', KEYS[1], 'failures', failures, 'until', string.format('%.0f', now + wait))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.max(kept, wait)))
return 0
"""


class Attempts:
    """Attempts to sign in, one for the serving process."""

    def __init__(self, redis: QuickRedis, throttle: Throttle, longest_wait: timedelta) -> None:
        """Takes where the waits stop doubling."""
        self._redis = redis
        self._throttle = throttle
        self._begin = redis.client.register_script(_BEGIN)
        self._arguments = (
            FREE_FAILURES,
            _milliseconds(longest_wait),
            _milliseconds(FORGOTTEN_AFTER),
        )

    async def begin(self, address: Payer, account: str) -> None:
        """Before a password is looked at. `account` is the normalised e-mail address, known or not.

        The attempt counts as failed until `succeeded` is called.

        Raises:
            Throttled: Not yet; the error says when.
            RedisAway: Nobody can tell, so nobody is let in.
        """
        limits, payer = self._throttle.limits, Payer(PayerKind.ACCOUNT, account)
        name = _name(address, payer)
        wait = await self._redis.ask(lambda: self._begin(keys=[name], args=self._arguments))
        if wait:
            raise throttled(limits.auth_account, payer, 1, int(wait))
        await self._throttle.charge(limits.auth_account, payer)

    async def succeeded(self, address: Payer, account: str) -> None:
        """The attempt was good: failures before it are forgotten.

        Raises:
            RedisAway: They can't be.
        """
        name = _name(address, Payer(PayerKind.ACCOUNT, account))
        await self._redis.ask(lambda: self._redis.client.delete(name))


def _name(address: Payer, account: Payer) -> str:
    return f"{_PREFIX}:{account}:{address}"


def _milliseconds(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)

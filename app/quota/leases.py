"""Streams at once, of all workers: a place is a lease in Redis, which its worker renews as long as the stream runs.

A worker that is killed renews nothing, and its places are free again when their leases are over. A Redis that has lost
its memory learns from the next renewal who runs. Times are Redis's own: workers' clocks may differ.
"""

from collections import defaultdict

from redis.asyncio import Redis

LEASE_S = 15
RENEW_EVERY_S = 5
"""A renewal may fail twice before a place is lost that is in use."""

_TAKE = """
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZSCORE', KEYS[1], ARGV[3]) then return 1 end
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
"""
_RENEW = """
local now = tonumber(redis.call('TIME')[1])
for visit = 2, #ARGV do redis.call('ZADD', KEYS[1], now + tonumber(ARGV[1]), ARGV[visit]) end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
"""


class Leases:
    """So many for each caller. Satisfies `ledger.Streams`."""

    def __init__(self, redis: Redis, most: int, *, prefix: str) -> None:
        self.most = most
        self._redis = redis
        self._prefix = prefix
        self._take = redis.register_script(_TAKE)
        self._renew = redis.register_script(_RENEW)
        self._running: defaultdict[str, set[str]] = defaultdict(set)

    async def take(self, who: str, visit: str) -> bool:
        """Whether there was one left, or it has one already."""
        taken = bool(await self._take([self._key(who)], [self.most, LEASE_S, visit]))
        if taken:
            self.admit(who, visit)
        return taken

    def admit(self, who: str, visit: str) -> None:
        """The stream runs, though Redis could not be asked: the next renewal will tell it."""
        self._running[who].add(visit)

    def leave(self, who: str, visit: str) -> None:
        """The stream is over, whether Redis can be told or not: its lease is not renewed."""
        self._running[who].discard(visit)
        if not self._running[who]:
            del self._running[who]

    async def give_back(self, who: str, visit: str) -> None:
        """Tells Redis of a stream that has left, so that its lease need not run out."""
        await self._redis.zrem(self._key(who), visit)

    def renewals(self) -> list[tuple[str, list[str]]]:
        """Who runs which streams here."""
        return [(who, sorted(visits)) for who, visits in self._running.items()]

    async def renew(self, who: str, visits: list[str]) -> None:
        """For as long again."""
        await self._renew([self._key(who)], [LEASE_S, *visits])

    def _key(self, who: str) -> str:
        return f"{self._prefix}:streams/{who}"

"""What to do while Redis is away: nobody waits for it longer than a moment, and most not at all."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import structlog
from redis.exceptions import RedisError

_REST_S = 1
"""After a failure nobody asks for so long: those who come meanwhile need not wait to find out the same."""

_Result = TypeVar("_Result")

log = structlog.get_logger(__name__)


class Probe(Protocol):
    """Who watches. It never raises."""

    def quota_store_failed(self, operation: str) -> None:
        """What was to be counted was not."""
        ...


class StoreAway(Exception):
    """Redis did not answer in time, answered nonsense, or did so a moment ago."""


class Access:
    """To wherever the counts are kept."""

    def __init__(self, *, probe: Probe) -> None:
        self._probe = probe
        self._rests_until = 0.0
        self._well = True

    async def do(self, operation: str, work: Callable[[], Awaitable[_Result]]) -> _Result:
        """What comes of it. Raises StoreAway, counted as a failure of this operation."""
        loop = asyncio.get_running_loop()
        try:
            if loop.time() < self._rests_until:
                raise StoreAway
            result = await work()
        except (StoreAway, RedisError, OSError) as exc:  # TimeoutError is an OSError
            self._probe.quota_store_failed(operation)
            if not isinstance(exc, StoreAway):
                self._rests_until = loop.time() + _REST_S
                self._tell(well=False, error=type(exc).__name__)  # its words may quote an address
            raise StoreAway from exc
        self._tell(well=True)
        return result

    def _tell(self, *, well: bool, error: str | None = None) -> None:
        if well is not self._well:
            self._well = well
            if well:
                log.info("quota.store_back")
            else:
                log.warning("quota.store_away", error=error)

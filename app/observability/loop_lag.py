"""How late the event loop wakes up: whatever blocks it delays every stream of the worker."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

_EVERY_S = 0.1


@asynccontextmanager
async def watching_loop(observe: Callable[[float], None]) -> AsyncIterator[None]:
    """Ten observations a second, in seconds, until this is left."""
    watcher = asyncio.create_task(_watch(observe), name="event loop lag")
    try:
        yield
    finally:
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher


async def _watch(observe: Callable[[float], None]) -> None:
    while True:
        due = time.monotonic() + _EVERY_S  # uvloop's own clock ticks in milliseconds
        await asyncio.sleep(_EVERY_S)
        observe(max(0.0, time.monotonic() - due))

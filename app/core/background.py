"""Work in the background: a task that ends with a context, and a function that may block for ever."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any


@asynccontextmanager
async def background_task(work: Coroutine[Any, Any, None], *, name: str) -> AsyncIterator[None]:
    """Runs `work` in a task of this name; leaving the context cancels it."""
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def run_in_daemon(function: Callable[[], None], *, name: str, timeout_s: float | None = None) -> None:
    """Returns when the function has, or after `timeout_s`, which leaves its thread behind.

    The event loop's own threads may all hang in other calls, and a process that ends waits for them.
    """
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def run() -> None:
        try:
            function()
        finally:
            with suppress(RuntimeError):  # the loop is closed, so nothing waits
                loop.call_soon_threadsafe(done.set)

    threading.Thread(target=run, name=name, daemon=True).start()
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await done.wait()

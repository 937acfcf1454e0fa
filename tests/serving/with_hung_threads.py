"""The service while all threads that its parts share are held up: the default executor's and anyio's."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI

from app.main import create_app as create_whole_app

_MORE_THAN_THERE_ARE = 100


def create_app() -> FastAPI:
    """With the environment's settings."""
    app = create_whole_app()
    lifespan = app.router.lifespan_context

    @asynccontextmanager
    async def with_hung_threads(app: FastAPI) -> AsyncIterator[Any]:
        over = threading.Event()
        async with lifespan(app) as state:
            limiter = current_default_thread_limiter()
            limiter.total_tokens = 1
            loop = asyncio.get_running_loop()
            hung = [loop.run_in_executor(None, over.wait) for _ in range(_MORE_THAN_THERE_ARE)]
            try:
                async with limiter:
                    assert limiter.available_tokens == 0
                    assert not any(each.done() for each in hung)
                    yield state
            finally:
                over.set()
                await asyncio.wait(hung)

    app.router.lifespan_context = with_hung_threads
    return app

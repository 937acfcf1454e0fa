"""Variants of the service, by the factory that gunicorn calls; each reads its settings from the environment."""

import asyncio
import logging
import os
import socket
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI

from app.main import create_app
from app.services.chat.block import Block
from app.services.groq.non_streaming import GroqCompletion
from app.services.groq.stream import GroqStream

BUGGY_MODEL = "openai/gpt-oss-120b"
UNRESOLVED_NAME = "silent.test"
_BLOCKED_THREADS = 100
"""More than asyncio's default executor has."""


def with_debug_logs() -> FastAPI:
    """Every logger that exists by now is at DEBUG."""
    app = create_app()
    logging.getLogger().setLevel(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        logging.getLogger(name).setLevel(logging.DEBUG)
    return app


def with_bug() -> FastAPI:
    """Reading an answer of `BUGGY_MODEL` raises."""
    return _with_failing_reads(_raise)


def with_bug_that_quotes_content() -> FastAPI:
    """Reading text of `BUGGY_MODEL` raises exceptions that quote it, and every logger is at DEBUG."""
    _with_failing_reads(_raise_with_content)
    return with_debug_logs()


def with_unresolved_name() -> FastAPI:
    """The lookup of `UNRESOLVED_NAME` gets no answer until the file exists that `NAME_SERVER` names."""
    getaddrinfo = socket.getaddrinfo

    def lookup(host: Any, *args: Any, **options: Any) -> Any:
        if host == UNRESOLVED_NAME:
            while not Path(os.environ["NAME_SERVER"]).exists():
                time.sleep(0.05)
            host = "127.0.0.1"
        return getaddrinfo(host, *args, **options)

    socket.getaddrinfo = lookup
    return create_app()


def with_blocked_threads() -> FastAPI:
    """All threads of asyncio's default executor and of anyio's limiter are in use while the service runs."""
    app = create_app()
    lifespan = app.router.lifespan_context

    @asynccontextmanager
    async def blocking(app: FastAPI) -> AsyncIterator[Any]:
        released = threading.Event()
        async with lifespan(app) as state:
            limiter = current_default_thread_limiter()
            limiter.total_tokens = 1
            loop = asyncio.get_running_loop()
            blocked = [loop.run_in_executor(None, released.wait) for _ in range(_BLOCKED_THREADS)]
            try:
                async with limiter:
                    assert limiter.available_tokens == 0
                    assert not any(each.done() for each in blocked)
                    yield state
            finally:
                released.set()
                await asyncio.wait(blocked)

    app.router.lifespan_context = blocking
    return app


def _with_failing_reads(check: Any) -> FastAPI:
    read_stream, read_completion = GroqStream.read, GroqCompletion.read

    async def stream(self: GroqStream) -> Block:
        return _checked(await read_stream(self), check)

    async def completion(self: GroqCompletion) -> Block:
        return _checked(await read_completion(self), check)

    GroqStream.read = stream  # type: ignore[method-assign]
    GroqCompletion.read = completion  # type: ignore[method-assign]
    return create_app()


def _checked(block: Block, check: Any) -> Block:
    if block.model == BUGGY_MODEL:
        check(block)
    return block


def _raise(_: Block) -> None:
    raise RuntimeError("a bug")


def _raise_with_content(block: Block) -> None:
    if not block.text:
        return
    try:
        raise ValueError(f"cannot read {block.text}")
    except ValueError as exc:
        raise RuntimeError(f"a bug at {block.data!r}") from exc

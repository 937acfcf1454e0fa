"""A stream as an HTTP response: it starts with its first byte, and stops when the client leaves or takes nothing."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, closing, suppress
from typing import ClassVar

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.core.errors import ClientStalled
from app.core.timeout import ReusableTimeout


class EventStream(Response):
    """Sends what the generator yields. What it raises before its first block gets its own HTTP status.

    The generator runs and is closed in the request's own task: its clean-up happens now, not when it is collected.
    """

    media_type = "text/event-stream"
    head: ClassVar = [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),
    ]

    def __init__(self, blocks: AsyncGenerator[bytes], *, stall_timeout_s: float) -> None:
        # Response's own constructor renders a body and its length; there is neither.
        self._blocks = blocks
        self._stall_timeout_s = stall_timeout_s
        self.status_code = 200
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        async with _until_client_leaves(receive), aclosing(self._blocks) as blocks:
            first = await anext(blocks)
            await send({"type": "http.response.start", "status": 200, "headers": list(self.head)})
            await send({"type": "http.response.body", "body": first, "more_body": True})
            with closing(ReusableTimeout()) as timeout:
                async for block in blocks:
                    try:
                        with timeout.limit(self._stall_timeout_s):
                            await send({"type": "http.response.body", "body": block, "more_body": True})
                    except TimeoutError:
                        await self._give_up()
                        return
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _give_up(self) -> None:
        """What the generator would still say to its client has nobody to hear it."""
        with suppress(ClientStalled, StopAsyncIteration):
            await self._blocks.athrow(ClientStalled(f"the client took nothing for {self._stall_timeout_s:g} s"))


class WholeAnswer(EventStream):
    """The same for a generator that yields one JSON object, in pieces: its first byte comes when the row is durable."""

    media_type = "application/json"
    head: ClassVar = [(b"content-type", b"application/json")]


@asynccontextmanager
async def _until_client_leaves(receive: Receive) -> AsyncIterator[None]:
    """Cancels what happens inside once the client has gone; uvicorn's `send` would go on as if nothing were."""
    scope = anyio.CancelScope()

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        scope.cancel()

    watcher = asyncio.create_task(watch())
    try:
        with scope:
            yield
    finally:
        watcher.cancel()

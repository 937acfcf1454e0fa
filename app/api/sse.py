"""The HTTP response of a chat: starts with the first block, and ends when the client disconnects or accepts no data."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, closing, suppress
from typing import ClassVar

import anyio
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from app.core.errors import ClientStalled
from app.services.chat.ports import Connection
from app.services.chat.timeouts import ReusableTimeout


class EventStream(Response):
    """Sends the blocks that the generator yields. An exception before the first block sets the HTTP status.

    The generator runs and is closed in the request's task, so that its clean-up does not wait for garbage collection.
    If the chat continues without its client, the rest of the blocks is dropped.
    """

    media_type = "text/event-stream"
    head: ClassVar = [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),
    ]

    def __init__(self, blocks: AsyncGenerator[bytes], connection: Connection, *, write_timeout_s: float) -> None:
        # Response's constructor would render a body and its length.
        self._blocks = blocks
        self._connection = connection
        self._write_timeout_s = write_timeout_s
        self.status_code = 200
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        with anyio.CancelScope() as sending:
            watcher = asyncio.create_task(self._cancel_on_disconnect(receive, sending))
            try:
                async with aclosing(self._blocks):
                    await self._send_blocks(send)
            finally:
                watcher.cancel()

    async def _cancel_on_disconnect(self, receive: Receive, sending: anyio.CancelScope) -> None:
        """Cancels the response when the client disconnects, unless the chat continues.

        uvicorn's `send` does nothing after a disconnect, so the response would not notice it.
        """
        while (await receive())["type"] != "http.disconnect":  # a body that no endpoint has read comes first
            pass
        self._connection.lose()
        if not self._connection.chat_continues:
            sending.cancel()

    async def _send_blocks(self, send: Send) -> None:
        start: Message | None = {"type": "http.response.start", "status": 200, "headers": list(self.head)}
        with closing(ReusableTimeout()) as timeout:
            async for block in self._blocks:
                if self._connection.lost_at is not None:
                    continue
                try:
                    with timeout.limit(self._write_timeout_s):
                        if start is not None:
                            await send(start)
                            start = None
                        await send({"type": "http.response.body", "body": block, "more_body": True})
                except TimeoutError:
                    self._connection.lose()
                    if not self._connection.chat_continues:
                        await self._end_stalled_chat()
            if self._connection.lost_at is None:
                with suppress(TimeoutError), timeout.limit(self._write_timeout_s):
                    await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _end_stalled_chat(self) -> None:
        """Raises ClientStalled in the generator; what it still yields is not sent."""
        with suppress(ClientStalled, StopAsyncIteration):
            await self._blocks.athrow(ClientStalled(f"the client accepted no data for {self._write_timeout_s:g} s"))


class WholeAnswer(EventStream):
    """The response of a chat that is not streamed: one JSON object in pieces, when the row is durable."""

    media_type = "application/json"
    head: ClassVar = [(b"content-type", b"application/json")]

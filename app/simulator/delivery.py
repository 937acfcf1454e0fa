"""How an answer reaches its client: byte by byte as the script has it, and only as long as the client is there."""

import asyncio
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.simulator.faults import Fault

_GZIP = 31  # what zlib calls gzip's header and trailer, with its largest window


class WhileConnected:
    """Makes a response and sends it. A client that leaves meanwhile is reported, and the work is cancelled."""

    def __init__(self, respond: Callable[[], Awaitable[Response]], on_leave: Callable[[], None]) -> None:
        self._respond = respond
        self._on_leave = on_leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer() -> None:
            response = await self._respond()
            await response(scope, receive, send)

        answering = asyncio.ensure_future(answer())
        leaving = asyncio.ensure_future(_client_leaves(receive))
        try:
            await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                self._on_leave()
        finally:
            leaving.cancel()
            answering.cancel()
            with suppress(asyncio.CancelledError):
                await answering


class Delivery(Response):
    """Sends what its source yields. With a `length` it is announced, whatever is sent."""

    def __init__(
        self,
        source: AsyncGenerator[bytes, None],
        fault: Fault,
        headers: dict[str, str],
        *,
        content_type: str,
        status: int = 200,
        length: int | None = None,
    ) -> None:
        super().__init__(status_code=status, headers=headers)
        del self.headers["content-length"]
        self.headers["content-type"] = content_type if fault.content_type is None else fault.content_type
        if length is not None and not fault.gzip:
            self.headers["content-length"] = str(length)
        if fault.gzip:
            self.headers["content-encoding"] = "gzip"
        self._source = source
        self._fault = fault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with aclosing(self._encoded()) as source:
            async for data in source:
                for piece in self._pieces(data):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        await asyncio.sleep(self._fault.hold_open_s)
        if self._fault.ending != "truncate":
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _encoded(self) -> AsyncGenerator[bytes, None]:
        compressor = zlib.compressobj(wbits=_GZIP) if self._fault.gzip else None
        line_end = self._fault.line_end.encode()
        async with aclosing(self._source) as source:
            async for written in source:
                data = written if line_end == b"\n" else written.replace(b"\n", line_end)
                yield data if compressor is None else compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)
        if compressor and self._fault.ending != "truncate":
            yield compressor.flush()

    def _pieces(self, data: bytes) -> list[bytes]:
        size = self._fault.bytes_per_write or len(data) or 1
        return [data[at : at + size] for at in range(0, len(data), size)]


async def once(body: bytes) -> AsyncGenerator[bytes, None]:
    """A source for `Delivery` that has everything at once."""
    yield body


async def _client_leaves(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

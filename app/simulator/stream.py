"""When each byte of a stream is sent, and what goes wrong on the way."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.simulator.answers import Answer
from app.simulator.faults import Fault
from app.simulator.models import Model
from app.simulator.wire import DONE, ChunkWriter, error_body, event

_AT_ONCE_BYTES = 65_536  # a stream that is late does not hold up the others
_IN_BAND_ERROR = error_body(
    "Failed to call a function. Please adjust your prompt. See 'failed_generation' for more details.",
    "invalid_request_error",
    "tool_use_failed",
    failed_generation='<function=get_weather{"city": }',
    status_code=400,
)


async def events(
    writer: ChunkWriter, answer: Answer, model: Model, fault: Fault, seed: int | None
) -> AsyncIterator[bytes]:
    """The events of one answer, each when it is due; those that are due at once come together."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(answer.usage["queue_time"] + answer.usage["prompt_time"])
    opening = writer.opening(seed)
    if opening:
        yield opening
    await asyncio.sleep(fault.first_token_delay_s)
    pace = 1 / (fault.tokens_per_s or model.tokens_per_s)
    start, due = loop.time(), b""
    for number, token in enumerate(writer.tokens(answer)):
        if number == fault.after_tokens and (fault.ending or fault.silence_s):
            if due:
                yield due
                due = b""
            if fault.ending not in (None, "no_done"):
                yield _ending(fault, writer, token)
                return
            await asyncio.sleep(fault.silence_s)
            start += fault.silence_s
        due += token
        ahead = start + (number + 1) * pace - loop.time()
        if ahead > 0 or len(due) > _AT_ONCE_BYTES:
            yield due
            due = b""
            await asyncio.sleep(max(0, ahead))
    yield due + b"".join(writer.final(answer)) + (b"" if fault.ending == "no_done" else DONE)


def _ending(fault: Fault, writer: ChunkWriter, token: bytes) -> bytes:
    match fault.ending:
        case "error_event":
            return event({"error": fault.error} if fault.error else _IN_BAND_ERROR, "error")
        case "early_stop":
            return writer.early_stop("The model stopped early, and this is why.")
        case "garbage":
            return b'data: {"id": "chatcmpl-\x00\xff not json\n\n'
        case "truncate":
            return token[: len(token) // 2]
        case _:
            return b""


class PacedResponse(Response):
    """Sends the events; notices at once when the client has gone, and breaks the connection where it should."""

    def __init__(
        self, source: AsyncIterator[bytes], fault: Fault, headers: dict[str, str], on_leave: Callable[[], None]
    ) -> None:
        super().__init__(headers=headers, media_type="text/event-stream")
        del self.headers["content-length"]
        self._source = source
        self._fault = fault
        self._on_leave = on_leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        sending = asyncio.ensure_future(self._send(send))
        leaving = asyncio.ensure_future(_client_leaves(receive))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                self._on_leave()
        finally:
            leaving.cancel()
            sending.cancel()
            with suppress(asyncio.CancelledError):
                await sending

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for data in self._source:
            for piece in self._pieces(data):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        if self._fault.ending != "truncate":
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _pieces(self, data: bytes) -> list[bytes]:
        if self._fault.line_end != "\n":
            data = data.replace(b"\n", self._fault.line_end.encode())
        size = self._fault.bytes_per_write or len(data) or 1
        return [data[at : at + size] for at in range(0, len(data), size)]


async def _client_leaves(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

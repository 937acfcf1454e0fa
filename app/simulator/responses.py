"""When each byte of an answer is sent, and what goes wrong with it."""

import asyncio
import json
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.simulator.answers import Answer, asks_for_json
from app.simulator.errors import ERROR_BODIES, Refused, error_body
from app.simulator.faults import Fault
from app.simulator.models import Model
from app.simulator.wire import DONE, ChunkWriter, completion, event, patched, to_json

_EARLY_STOP = "The model stopped early, and this is why."
_GARBAGE = b'{"id": "chatcmpl-\x00\xff not json'
_GZIP = 31  # what zlib calls gzip's header and trailer, with its largest window
_MAX_CATCH_UP_BYTES = 65_536  # a stream that is late does not hold up the others
_TOOL_USE_FAILED = error_body(
    "Failed to call a function. Please adjust your prompt. See 'failed_generation' for more details.",
    code="tool_use_failed",
    failed_generation='<function=get_weather{"city": }',
    status_code=400,
)["error"]


class WhileConnected:
    """Creates a response and sends it. If the client disconnects, calls `on_disconnect` and cancels the work."""

    def __init__(self, respond: Callable[[], Awaitable[Response]], on_disconnect: Callable[[], None]) -> None:
        self._respond = respond
        self._on_disconnect = on_disconnect

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer() -> None:
            response = await self._respond()
            await response(scope, receive, send)

        async def disconnect() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        answering, disconnecting = asyncio.ensure_future(answer()), asyncio.ensure_future(disconnect())
        try:
            await asyncio.wait((answering, disconnecting), return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                self._on_disconnect()
        finally:
            disconnecting.cancel()
            answering.cancel()
            with suppress(asyncio.CancelledError):
                await answering


class FaultyResponse(Response):
    """Sends what its source yields, as the fault has it. A `length` is announced, whatever is sent."""

    def __init__(
        self,
        source: AsyncGenerator[bytes, None],
        fault: Fault,
        headers: dict[str, str],
        *,
        content_type: str = "application/json",
        status: int = 200,
        length: int | None = None,
    ) -> None:
        super().__init__(status_code=status, headers=headers)
        del self.headers["content-length"]
        self.headers["content-type"] = content_type if fault.content_type is None else fault.content_type
        if fault.gzip:
            self.headers["content-encoding"] = "gzip"
        elif length is not None:
            self.headers["content-length"] = str(length)
        self._source = source
        self._fault = fault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with aclosing(self._encoded()) as source:
            async for data in source:
                size = self._fault.bytes_per_write or len(data) or 1
                for at in range(0, len(data), size):
                    await send({"type": "http.response.body", "body": data[at : at + size], "more_body": True})
        await asyncio.sleep(self._fault.hold_open_s)
        if self._fault.ending != "truncate":
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _encoded(self) -> AsyncGenerator[bytes, None]:
        compressor = zlib.compressobj(wbits=_GZIP) if self._fault.gzip else None
        async with aclosing(self._source) as source:
            async for written in source:
                data = written.replace(b"\n", self._fault.line_end.encode())
                yield data if compressor is None else compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)
        if compressor and self._fault.ending != "truncate":
            yield compressor.flush()


def body_response(body: bytes, fault: Fault, headers: dict[str, str], status: int = 200) -> FaultyResponse:
    """A response whose body is sent at once."""
    return FaultyResponse(_pieces(body, 0, 0), fault, headers, status=status, length=len(body))


def scripted_response(fault: Fault, headers: dict[str, str]) -> Response | None:
    """Add the headers that the fault asks for, and return the response that it sends instead of an answer, if any."""
    headers.update(fault.rate_limit_headers)
    headers["retry-after"] = "1" if fault.status == 429 else ""
    if fault.retry_after_s is not None:
        headers["retry-after"] = str(fault.retry_after_s)
    if fault.retry_after is not None:
        headers["retry-after"] = fault.retry_after
    for name in [name for name, value in headers.items() if not value]:
        del headers[name]
    if fault.status is None and fault.body is None:
        return None
    status = fault.status or 200
    error = {"error": fault.error} if fault.error else ERROR_BODIES.get(status) or error_body(f"status {status}")
    body = json.dumps(error) if fault.body is None else fault.body
    return body_response(body.encode(), fault, headers, status)


async def stream_events(
    request: dict[str, Any], answer: Answer, model: Model, fault: Fault, *, request_id: str
) -> AsyncGenerator[bytes, None]:
    """The events of one answer, each when it is due; those that are due at once come together."""
    loop, writer = asyncio.get_running_loop(), ChunkWriter(request, model, fault, request_id)
    await asyncio.sleep(answer.usage["queue_time"] + answer.usage["prompt_time"])
    yield writer.opening()
    pace = 1 / (fault.tokens_per_s or model.tokens_per_s)
    await asyncio.sleep(fault.first_token_delay_s + answer.hidden * pace)
    start, due = loop.time(), b""
    for number, token in enumerate(writer.tokens(answer)):
        if number == fault.after_tokens and (fault.ending or fault.silence_s):
            yield due
            due = b""
            if fault.ending not in (None, "no_done"):
                yield _stream_ending(fault, writer, token)
                return
            await asyncio.sleep(fault.silence_s)
            start += fault.silence_s
        due += token
        ahead = start + (number + 1) * pace - loop.time()
        if ahead > 0 or len(due) > _MAX_CATCH_UP_BYTES:
            yield due
            due = b""
            await asyncio.sleep(max(0, ahead))
    yield due + writer.final(answer) + (b"" if fault.ending == "no_done" else DONE)


def _stream_ending(fault: Fault, writer: ChunkWriter, token: bytes) -> bytes:
    match fault.ending:
        case "error_event":
            return event({"error": fault.error or _TOOL_USE_FAILED}, "error")
        case "early_stop":
            return writer.early_stop(_EARLY_STOP)
        case "garbage":
            return b"data: " + _GARBAGE + b"\n\n"
        case "truncate":
            return token[: len(token) // 2]
        case _:
            return b""


async def whole_response(
    request: dict[str, Any], answer: Answer, model: Model, fault: Fault, headers: dict[str, str]
) -> Response:
    """The response to a request that does not stream, when it is due. Raises Refused where Groq fails meanwhile."""
    tokens = answer.usage["completion_tokens"]
    before = answer.usage["queue_time"] + answer.usage["prompt_time"] + fault.first_token_delay_s
    await asyncio.sleep(before + tokens / (fault.tokens_per_s or model.tokens_per_s))
    if asks_for_json(request) and answer.finish_reason == "length":
        message = "Failed to generate JSON. Please adjust your prompt. See 'failed_generation' for more details."
        raise Refused(400, message, code="json_validate_failed", failed_generation="".join(answer.content))
    ending, silence_s = (fault.ending, fault.silence_s) if fault.after_tokens < tokens else (None, 0)
    if ending == "error_event":
        error = fault.error or _TOOL_USE_FAILED
        return body_response(json.dumps({"error": error}).encode(), fault, headers, error.get("status_code", 400))
    content = completion(answer, model, request_id=headers["x-request-id"])
    if ending == "early_stop":
        content["choices"][0]["finish_reason"] = None
        content["x_groq"]["error"] = _EARLY_STOP
    body = to_json(patched(content, fault.patch_every | fault.patch))
    # The body of a whole answer is cut at the share of its bytes that `after_tokens` has of its tokens.
    length, cut = len(body), len(body) * min(fault.after_tokens, tokens) // max(1, tokens)
    if ending in ("truncate", "eof"):
        body = body[:cut]
    elif ending == "garbage":
        body, cut = _GARBAGE, 0
    announced = length if ending == "truncate" else len(body)
    return FaultyResponse(_pieces(body, cut, silence_s), fault, headers, length=announced)


async def _pieces(body: bytes, pause_at: int, pause_s: float) -> AsyncGenerator[bytes, None]:
    yield body[:pause_at]
    await asyncio.sleep(pause_s)
    yield body[pause_at:]

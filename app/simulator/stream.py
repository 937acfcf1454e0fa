"""When each byte of a stream is sent, and what goes wrong on the way."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from app.simulator.answers import Answer
from app.simulator.faults import Fault
from app.simulator.models import Model
from app.simulator.wire import DONE, ChunkWriter, error_body, event

EARLY_STOP = "The model stopped early, and this is why."
GARBAGE = b'{"id": "chatcmpl-\x00\xff not json'
_AT_ONCE_BYTES = 65_536  # a stream that is late does not hold up the others
_TOOL_USE_FAILED = error_body(
    "Failed to call a function. Please adjust your prompt. See 'failed_generation' for more details.",
    "invalid_request_error",
    "tool_use_failed",
    failed_generation='<function=get_weather{"city": }',
    status_code=400,
)


async def events(
    writer: ChunkWriter, answer: Answer, model: Model, fault: Fault, seed: int | None
) -> AsyncGenerator[bytes, None]:
    """The events of one answer, each when it is due; those that are due at once come together."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(answer.usage["queue_time"] + answer.usage["prompt_time"])
    opening = writer.opening(seed)
    if opening:
        yield opening
    pace = 1 / (fault.tokens_per_s or model.tokens_per_s)
    await asyncio.sleep(fault.first_token_delay_s + answer.hidden * pace)
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


def in_band_error(fault: Fault) -> dict[str, Any]:
    """The error object that comes when an answer has begun."""
    error: dict[str, Any] = fault.error or _TOOL_USE_FAILED["error"]
    return error


def _ending(fault: Fault, writer: ChunkWriter, token: bytes) -> bytes:
    match fault.ending:
        case "error_event":
            return event({"error": in_band_error(fault)}, "error")
        case "early_stop":
            return writer.early_stop(EARLY_STOP)
        case "garbage":
            return b"data: " + GARBAGE + b"\n\n"
        case "truncate":
            return token[: len(token) // 2]
        case _:
            return b""

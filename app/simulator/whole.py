"""An answer that is not streamed: when its one object is sent, and what goes wrong with it."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

from starlette.responses import Response

from app.simulator.answers import Answer, asks_for_json
from app.simulator.delivery import Delivery
from app.simulator.faults import Fault
from app.simulator.models import Model
from app.simulator.refusals import Refused, not_json
from app.simulator.stream import EARLY_STOP, GARBAGE, in_band_error
from app.simulator.wire import completion, patched


async def whole_answer(
    asked: dict[str, Any], answer: Answer, model: Model, fault: Fault, headers: dict[str, str]
) -> Response:
    """The response, once it is time for it. Raises Refused where Groq finds out while it answers."""
    pace = fault.tokens_per_s or model.tokens_per_s
    before = answer.usage["queue_time"] + answer.usage["prompt_time"] + fault.first_token_delay_s
    await asyncio.sleep(before + answer.usage["completion_tokens"] / pace)
    if asks_for_json(asked) and answer.finish_reason == "length":
        raise not_json("".join(answer.content))
    tokens = answer.usage["completion_tokens"]
    strikes = fault.after_tokens < tokens
    if strikes and fault.ending == "error_event":
        error = in_band_error(fault)
        raise Refused(error.get("status_code", 400), {"error": error})
    content = completion(answer, model, request_id=headers["x-request-id"])
    if strikes and fault.ending == "early_stop":
        content["choices"][0]["finish_reason"] = None
        content["x_groq"]["error"] = EARLY_STOP
    content = patched(content, fault.patch_every | fault.patch)
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
    if not strikes:
        return _delivered(body, len(body), 0, fault, headers)
    # A body has no tokens that come one by one: it is cut where so many would be, by their share of all.
    cut = len(body) * fault.after_tokens // tokens
    match fault.ending:
        case "truncate":
            return _delivered(body[:cut], cut, fault.silence_s, fault, headers, length=len(body))
        case "eof":
            return _delivered(body[:cut], cut, fault.silence_s, fault, headers)
        case "garbage":
            return _delivered(GARBAGE, 0, fault.silence_s, fault, headers)
        case _:
            return _delivered(body, cut, fault.silence_s, fault, headers)


def _delivered(
    body: bytes, pause_at: int, pause_s: float, fault: Fault, headers: dict[str, str], *, length: int | None = None
) -> Delivery:
    async def pieces() -> AsyncGenerator[bytes, None]:
        yield body[:pause_at]
        await asyncio.sleep(pause_s)
        yield body[pause_at:]

    announced = len(body) if length is None else length
    return Delivery(pieces(), fault, headers, content_type="application/json", length=announced)

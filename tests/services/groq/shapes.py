"""Groq's own shapes: one stream with all that it may hold."""

import json
from typing import Any

from app.services.chat.block import Block
from app.services.groq.sse_decoder import SseDecoder

USAGE = {
    "queue_time": 0.02,
    "prompt_time": 0.001,
    "completion_time": 0.005,
    "prompt_tokens": 9,
    "completion_tokens": 4,
    "completion_tokens_details": {"reasoning_tokens": 1},
    "prompt_tokens_details": {"cached_tokens": 8},
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}, "index": 0}


def chunk(delta: dict[str, Any], finish_reason: str | None = None, **beside: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    content = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m", "choices": [choice]} | beside
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n".encode()


STREAM = b"".join(
    [
        chunk({"role": "assistant", "content": ""}, x_groq={"id": "req_1"}),
        chunk({"reasoning": "Hm", "channel": "analysis"}),
        chunk({"content": "naïve "}),
        b": a comment\n\n",
        chunk({"content": "東京🚀"}),
        chunk({"tool_calls": [CALL]}),
        chunk({}, "stop", x_groq={"id": "req_1", "usage": USAGE}, usage=USAGE),
        b'data: {"id":"chatcmpl-1","choices":[],"usage":%s,"service_tier":"on_demand"}\n\n'
        % json.dumps(USAGE).encode(),
    ]
)
DONE = b"data: [DONE]\n\n"


def decode(*pieces: bytes, end: bool = True, max_event_bytes: int = 10_000) -> tuple[Block, list[bytes]]:
    """Everything that the pieces brought, as one block, and what was relayed for each of them."""
    decoder = SseDecoder(max_event_bytes=max_event_bytes)
    whole, relayed = Block(), []
    for piece in pieces:
        block = decoder.feed(piece)
        _merge(whole, block)
        relayed.append(block.data)
        if block.ended or block.error:
            return whole, relayed
    if end:
        last = decoder.finish()
        _merge(whole, last)
        relayed.append(last.data)
    return whole, relayed


def _merge(whole: Block, block: Block) -> None:
    whole.data += block.data
    whole.text += block.text
    whole.reasoning += block.reasoning
    whole.tool_calls += block.tool_calls
    whole.progress_chunks += block.progress_chunks
    whole.refusal += block.refusal
    whole.other_bytes += block.other_bytes
    whole.finished_choices |= block.finished_choices
    whole.unexpected |= block.unexpected
    for name in (
        "model",
        "finish_reason",
        "usage",
        "upstream_response_id",
        "upstream_request_id",
        "early_stop",
        "error",
    ):
        setattr(whole, name, getattr(block, name) or getattr(whole, name))
    whole.ended = whole.ended or block.ended

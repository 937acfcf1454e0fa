"""What is read of Groq's chunks: the few fields that mean something to us; the decoder skips the rest unread."""

from typing import Any

import msgspec

from app.chat.block import Block, Usage
from app.groq.errors import error_of


class _Details(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None


class _Usage(msgspec.Struct, gc=False):
    queue_time: float | None = None
    prompt_time: float | None = None
    completion_time: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    completion_tokens_details: _Details | None = None
    prompt_tokens_details: _Details | None = None


class _XGroq(msgspec.Struct, gc=False):
    id: str | None = None
    usage: _Usage | None = None
    error: Any = None


class _Delta(msgspec.Struct, gc=False):
    content: str | None = None
    reasoning: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta | None = None
    finish_reason: str | None = None


class Chunk(msgspec.Struct, gc=False):
    """One event of an answer."""

    id: str | None = None
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    x_groq: _XGroq | None = None
    error: dict[str, Any] | str | None = None


def note(chunk: Chunk, block: Block) -> None:
    """Adds what the chunk says to the block that it came in."""
    if chunk.error is not None:
        block.error = error_of(chunk.error)
        return
    block.chunks += 1
    block.groq_response_id = block.groq_response_id or chunk.id
    block.model = chunk.model or block.model
    for choice in chunk.choices or ():
        block.finish_reason = choice.finish_reason or block.finish_reason
        if choice.delta is not None:
            _note_delta(choice.delta, block)
    if chunk.x_groq is not None:
        block.groq_request_id = chunk.x_groq.id or block.groq_request_id
        block.early_stop = str(chunk.x_groq.error) if chunk.x_groq.error else block.early_stop
    usage = chunk.usage or (chunk.x_groq and chunk.x_groq.usage)
    if usage:
        block.usage = _counted(usage)


def _note_delta(delta: _Delta, block: Block) -> None:
    if delta.content:
        block.text.append(delta.content)
    if delta.reasoning:
        block.reasoning.append(delta.reasoning)
    if delta.tool_calls:
        block.tool_calls += delta.tool_calls
    if delta.content or delta.reasoning or delta.tool_calls:
        block.deltas += 1


def _counted(usage: _Usage) -> Usage:
    completion, prompt = usage.completion_tokens_details, usage.prompt_tokens_details
    return Usage(
        prompt_tokens=usage.prompt_tokens or 0,
        completion_tokens=usage.completion_tokens or 0,
        reasoning_tokens=(completion and completion.reasoning_tokens) or 0,
        cached_tokens=(prompt and prompt.cached_tokens) or 0,
        queue_s=usage.queue_time,
        prompt_s=usage.prompt_time,
        completion_s=usage.completion_time,
    )

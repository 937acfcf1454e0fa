"""Reads the fields of Groq's chunks and completions that the service needs; the others are relayed unread.

A field with an invalid type or value never ends an answer: it is left out, and `Block.unexpected` has its name.
Only an error object, or more choices than a request may ask for, ends an answer.
"""

import json
from contextlib import suppress
from typing import Any

import msgspec

from app.core.text import storable
from app.core.upstream import UpstreamBroken
from app.services.chat.block import Block
from app.services.chat.usage import Usage
from app.services.groq.errors import error_from_event

MAX_CHOICES = 128
"""The most choices of an answer, and the most tool calls of a delta: OpenAI's limits for `n` and for tools."""
_MAX_TOKENS = 10**8
"""A hundred times the longest context of a model: a larger count is invalid."""
_MAX_SECONDS = 10**6
_MAX_DEPTH = 64
"""The deepest tool call that is stored: databases and JSON libraries fail at much deeper values. Requests have the same
limit."""
_LABELS = {"role": ("assistant",), "channel": ("analysis", "commentary", "final")}
"""Values that describe a delta and are no part of the answer: the first delta has only a role. `channel` is gpt-oss's
label for reasoning (analysis, commentary) or answer (final)."""


class Chunk(msgspec.Struct, gc=False):
    """One event of a stream, or one completion. The type of a field is checked when it is read."""

    id: Any = None
    model: Any = None
    choices: Any = None
    usage: Any = None
    x_groq: Any = None
    error: Any = None


_decode = msgspec.json.Decoder(Chunk).decode


def parse_chunk(data: bytes) -> Chunk | None:
    """Returns None for JSON that is no object or nested too deeply. Raises ValueError for what is not JSON."""
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        content = json.loads(data.decode("utf-8", "replace"))  # unlike msgspec, it accepts half a surrogate pair
    except RecursionError:
        return None
    return msgspec.convert(content, Chunk) if isinstance(content, dict) else None


def add_chunk(chunk: Chunk, block: Block) -> None:
    """Adds the fields of a chunk to its block."""
    if chunk.error:
        if isinstance(chunk.error, dict | list | str):
            block.error = error_from_event(chunk.error)
            return
        block.unexpected.add("error")
    block.chunks += 1
    response_id = _typed("id", chunk.id, str, block)
    block.upstream_response_id = block.upstream_response_id or response_id
    block.model = _typed("model", chunk.model, str, block) or block.model
    if chunk.choices:
        _add_choices(_typed("choices", chunk.choices, list, block) or [], block)
    if chunk.x_groq is None and chunk.usage is None:
        return
    x_groq = _typed("x_groq", chunk.x_groq, dict, block) or {}
    block.upstream_request_id = _typed("id", x_groq.get("id"), str, block) or block.upstream_request_id
    block.early_stop = storable(str(x_groq["error"])) if x_groq.get("error") else block.early_stop
    if usage := chunk.usage or x_groq.get("usage"):
        block.usage = _usage(_typed("usage", usage, dict, block), block) or block.usage


# ── Choices ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _add_choices(choices: list[Any], block: Block) -> None:
    if len(choices) > MAX_CHOICES:
        block.error = UpstreamBroken(f"Groq sent an event with more than {MAX_CHOICES} choices")
        return
    for each in choices:
        choice = _typed("choices", each, dict, block) or {}
        index = _count("index", choice.get("index"), 2**31, block) or 0
        if index >= MAX_CHOICES:
            block.error = UpstreamBroken(f"Groq sent choice {index}; an answer has at most {MAX_CHOICES}")
            return
        block.choices = max(block.choices, index + 1)
        if delta := choice.get("delta"):
            block.progress_chunks += _add_delta(_typed("delta", delta, dict, block) or {}, block)
        elif message := choice.get("message"):  # an answer that is not streamed, which has no first token
            _add_delta(_typed("message", message, dict, block) or {}, block)
        if reason := choice.get("finish_reason"):
            block.finished_choices.add(index)
            block.finish_reason = _typed("finish_reason", reason, str, block) or block.finish_reason


def _add_delta(delta: dict[str, Any], block: Block) -> bool:
    """Returns whether the delta is progress: anything beyond the role and the channel, and not only an empty text."""
    progress = False
    for name, value in delta.items():
        if not value or (name in _LABELS and value in _LABELS[name]):
            continue
        if name == "content" and isinstance(value, str):
            block.text.append(value)
        elif name in ("reasoning", "reasoning_content") and isinstance(value, str):
            block.reasoning.append(value)
        else:
            _add_other(name, value, block)
        progress = progress or name not in _LABELS
    return progress


def _add_other(name: str, value: Any, block: Block) -> None:
    """Adds a refusal, tool calls, tools that Groq executed, or an unknown field."""
    try:
        block.other_bytes += len(msgspec.json.encode(value))
    except (RecursionError, ValueError):  # too deep, or half a surrogate pair
        with suppress(RecursionError):  # such a value is not stored
            block.other_bytes += len(repr(value))
    if name == "refusal" and isinstance(value, str):
        block.refusal.append(value)
    elif name == "tool_calls" and _are_storable_calls(value):
        block.tool_calls += value
    elif name in ("content", "reasoning", "reasoning_content", "refusal", "tool_calls"):
        block.unexpected.add(name)


def _are_storable_calls(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= MAX_CHOICES and not _is_deeper_than(value, _MAX_DEPTH)


def _is_deeper_than(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth):
        parents = [each for each in level if isinstance(each, dict | list)]
        if not parents:
            return False
        level = [child for each in parents for child in (each.values() if isinstance(each, dict) else each)]
    return True


# ── Usage ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _usage(usage: dict[str, Any] | None, block: Block) -> Usage | None:
    """Returns None if either of the two counts is unknown: both are estimated then."""
    usage = usage or {}
    prompt = _count("prompt_tokens", usage.get("prompt_tokens"), _MAX_TOKENS, block)
    completion = _count("completion_tokens", usage.get("completion_tokens"), _MAX_TOKENS, block)
    if prompt is None or completion is None:
        return None
    of_completion = _typed("completion_tokens_details", usage.get("completion_tokens_details"), dict, block) or {}
    of_prompt = _typed("prompt_tokens_details", usage.get("prompt_tokens_details"), dict, block) or {}
    return Usage(
        prompt,
        completion,
        reasoning_tokens=_count("reasoning_tokens", of_completion.get("reasoning_tokens"), completion, block) or 0,
        cached_tokens=_count("cached_tokens", of_prompt.get("cached_tokens"), prompt, block) or 0,
        queue_s=_number("queue_time", usage.get("queue_time"), _MAX_SECONDS, block),
        prompt_s=_number("prompt_time", usage.get("prompt_time"), _MAX_SECONDS, block),
        completion_s=_number("completion_time", usage.get("completion_time"), _MAX_SECONDS, block),
    )


# ── Values ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _typed(name: str, value: Any, kind: type, block: Block) -> Any:
    """Returns the value if it has this type, else None."""
    if value is None or isinstance(value, kind):
        return value
    block.unexpected.add(name)
    return None


def _count(name: str, value: Any, most: int, block: Block) -> int | None:
    """Returns a whole number from 0 to `most`. It may be written as a float: some servers write all numbers so."""
    number = _number(name, value, most, block)
    if number is None or number % 1 == 0:
        return None if number is None else int(number)
    block.unexpected.add(name)
    return None


def _number(name: str, value: Any, most: int, block: Block) -> float | None:
    """Returns a number from 0 to `most`."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most):
        return value
    block.unexpected.add(name)
    return None

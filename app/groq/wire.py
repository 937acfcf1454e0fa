"""Groq's server-sent events: bytes in, blocks out. Pure: what arrives may be split at any byte."""

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from app.chat.block import Block, Usage
from app.core.errors import UpstreamBroken
from app.groq.errors import error_of

_BLANK_LINE = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LINE_END = re.compile(r"\r\n|\n|\r")


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


class _Chunk(msgspec.Struct, gc=False):
    """The few fields that mean something to us; the decoder skips the rest unread."""

    id: str | None = None
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    x_groq: _XGroq | None = None
    error: dict[str, Any] | str | None = None


_decode = msgspec.json.Decoder(_Chunk).decode
_decode_all = msgspec.json.Decoder(list[_Chunk]).decode
_START = b"data: {"
_NOT_THE_USUAL_SHAPE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Decoder:
    """Reads one stream. Between two calls it holds the unfinished last event, and nothing else."""

    def __init__(self, *, max_event_bytes: int) -> None:
        self._max_event_bytes = max_event_bytes
        self._tail = bytearray()

    def feed(self, data: bytes) -> Block:
        """The events that `data` completes. Groq's own `[DONE]` and its error event are read, but not relayed."""
        block = Block()
        if self._tail:
            if not _has_boundary(bytes(self._tail[-3:]) + data):  # a long event is not searched from its start again
                self._keep(data, block)
                return block
            data = bytes(self._tail) + data
            self._tail.clear()
        if whole := _read_together(data, block):
            block.data = data[:whole]
            self._keep(data[whole:], block)
            return block
        start = 0
        for event_end, next_start in _boundaries(data):
            _read(data[start:event_end], block)
            if block.ended or block.error:
                block.data = data[:start]
                return block
            start = next_start
        block.data = data[:start]
        self._keep(data[start:], block)
        return block

    def _keep(self, rest: bytes, block: Block) -> None:
        self._tail += rest
        if len(self._tail) > self._max_event_bytes:
            block.error = UpstreamBroken(f"Groq sent an event of more than {self._max_event_bytes} bytes")

    def finish(self) -> Block:
        """The connection has ended: an event that lacks only its blank line is read, half an event is not."""
        block = self.feed(b"\n\n") if self._tail.strip() else Block()
        block.ended = block.error is None
        return block


def _read_together(data: bytes, block: Block) -> int:
    """Events of the usual shape, all at once, as that costs half; returns where they end.

    0 if anything is unusual: then nothing was noted, and they are to be read one by one. No JSON text holds a raw line
    end, so that what looks like the start of an event is one.
    """
    end = data.rfind(b"\n\n")
    if end <= 0 or data[end - 1] == ord("\n") or not data.startswith(_START):
        return 0
    try:
        chunks = _decode_all(b"[" + data[6:end].replace(b"\n\ndata: {", b",{") + b"]")
    except _NOT_THE_USUAL_SHAPE:
        return 0
    if any(chunk.error is not None for chunk in chunks):
        return 0
    for chunk in chunks:
        _note(chunk, block)
    return end + 2


def _read(event: bytes, block: Block) -> None:
    if event.startswith(_START):
        try:
            chunk = _decode(event[6:])
        except _NOT_THE_USUAL_SHAPE:
            pass  # the slow way knows them all
        else:
            _note(chunk, block)
            return
    _read_slowly(event, block)


def _read_slowly(event: bytes, block: Block) -> None:
    """Any event that the standard allows: comments, names, data over several lines."""
    name, data = _fields(event)
    if data.strip() == "[DONE]":
        block.ended = True
    elif data:
        try:
            # The standard library accepts half of a surrogate pair, which msgspec refuses.
            content = json.loads(data)
            if name == "error":
                content = {"error": content.get("error") or content}
            chunk = msgspec.convert(content, _Chunk)
        except (ValueError, TypeError, AttributeError, RecursionError) as exc:
            block.error = UpstreamBroken("Groq sent an event that is not what its API describes")
            block.error.__cause__ = exc
        else:
            _note(chunk, block)


def _note(chunk: _Chunk, block: Block) -> None:
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


def _has_boundary(data: bytes) -> bool:
    return next(_boundaries(data), None) is not None


def _boundaries(data: bytes) -> Iterator[tuple[int, int]]:
    """Where each whole event ends, and where the next one starts."""
    if b"\r" in data:
        yield from (match.span() for match in _BLANK_LINE.finditer(data))
        return
    end = data.find(b"\n\n")
    while end >= 0:
        yield end, end + 2
        end = data.find(b"\n\n", end + 2)


def _fields(event: bytes) -> tuple[str, str]:
    """The name of an event and its data, by the standard: `data` lines are joined, comments are dropped."""
    name, data = "", []
    for line in _LINE_END.split(event.decode("utf-8", errors="replace")):
        field, _, value = line.partition(":")
        if field == "event":
            name = value.removeprefix(" ")
        elif field == "data":
            data.append(value.removeprefix(" "))
    return name, "\n".join(data)

"""Decodes server-sent events: bytes, split anywhere, become blocks of whole events. It does no I/O."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec

from app.core.upstream import UpstreamBroken
from app.services.chat.block import Block
from app.services.groq.chunks import Chunk, add_chunk, parse_chunk

_BLANK_LINE = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_JSON_START = b"data: {"


class SseDecoder:
    """Decodes one stream. Between two calls it holds the unfinished last event, and nothing else."""

    def __init__(self, *, max_event_bytes: int) -> None:
        self._max_event_bytes = max_event_bytes
        self._unfinished = bytearray()

    def feed(self, data: bytes) -> Block:
        """Returns the events that `data` completes, without Groq's own `[DONE]` and its error event."""
        block = Block()
        if self._unfinished:
            if not _has_boundary(bytes(self._unfinished[-3:]) + data):  # a long event is searched once
                self._buffer(data, block)
                return block
            data = bytes(self._unfinished) + data
            self._unfinished.clear()
        if end := _decode_text_events(data, block):
            block.data = data[:end]
            self._buffer(data[end:], block)
            return block
        start = 0
        for event_end, next_start in _boundaries(data):
            _decode_event(data[start:event_end], block)
            if block.ended or block.error:
                block.data = data[:start]
                return block
            start = next_start
        block.data = data[:start]
        self._buffer(data[start:], block)
        return block

    def _buffer(self, rest: bytes, block: Block) -> None:
        self._unfinished += rest
        if len(self._unfinished) > self._max_event_bytes:
            block.error = UpstreamBroken(f"Groq sent an event of more than {self._max_event_bytes} bytes")

    def finish(self) -> Block:
        """Returns what is left at the end of the body: an event that lacks only its blank line, or an error."""
        block = self.feed(b"\n\n") if self._unfinished.strip() else Block()
        block.ended = block.error is None
        return block


# ── Events that carry only text ──────────────────────────────────────────────────────────────────────────────────────
# Nearly all events are of this kind. Decoding them together costs a quarter of decoding each, and saves a tenth of the
# CPU of a stream (docs/performance.md).


class _TextDelta(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    role: Literal["assistant"] | None = None
    content: str | None = None
    reasoning: str | None = None
    channel: Literal["analysis", "commentary", "final"] | None = None


class _TextChoice(msgspec.Struct, gc=False):
    delta: _TextDelta
    index: Literal[0] = 0
    finish_reason: None = None
    message: None = None


class _TextChunk(msgspec.Struct, gc=False):
    """A chunk of another shape cannot be decoded as one."""

    id: str
    model: str
    choices: Annotated[list[_TextChoice], msgspec.Meta(max_length=1)]
    usage: None = None
    x_groq: None = None
    error: None = None


_decode_text_chunks = msgspec.json.Decoder(list[_TextChunk]).decode


def _decode_text_events(data: bytes, block: Block) -> int:
    """Decodes whole events at once; returns where they end, or 0 without a change if any has another shape.

    JSON text has no raw line ends: an empty line is always the boundary of an event.
    """
    end = data.rfind(b"\n\n")
    if end < 0 or not data.startswith(_JSON_START):
        return 0
    try:
        chunks = _decode_text_chunks(b"[" + data[6:end].replace(b"\n\ndata: {", b",{") + b"]")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 0
    if len(chunks) != data.count(b"\n\n", 0, end) + 1:
        return 0  # `{…},{…}` in one event would pass as two
    for chunk in chunks:
        block.chunks += 1
        block.upstream_response_id = block.upstream_response_id or chunk.id
        block.model = chunk.model or block.model
        for choice in chunk.choices:
            if choice.delta.content:
                block.text.append(choice.delta.content)
            if choice.delta.reasoning:
                block.reasoning.append(choice.delta.reasoning)
            block.progress_chunks += bool(choice.delta.content or choice.delta.reasoning)
    return end + 2


# ── Any event ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _decode_event(event: bytes, block: Block) -> None:
    """Decodes any event that the standard allows: with comments, a name, data in several lines."""
    name, data = ("", event[6:]) if event.startswith(_JSON_START) and _is_one_line(event) else _fields(event)
    if data.strip() == b"[DONE]":
        block.ended = True
    elif data:
        try:
            chunk = parse_chunk(data)
        except ValueError as exc:
            block.error = UpstreamBroken("Groq sent an event that is not JSON")
            block.error.__cause__ = exc
            return
        if name == "error":
            chunk = chunk if chunk and chunk.error else Chunk(error=_any_json(data))
        if chunk is not None:
            add_chunk(chunk, block)
        else:
            block.unexpected.add("event")
            block.chunks += 1
            block.other_bytes += len(event)


def _is_one_line(event: bytes) -> bool:
    return b"\n" not in event and b"\r" not in event


def _any_json(data: bytes) -> Any:
    """The content of an error event that has no `error` field: the event is the error itself."""
    try:
        return msgspec.json.decode(data) or {"message": ""}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {"message": ""}


def _has_boundary(data: bytes) -> bool:
    return next(_boundaries(data), None) is not None


def _boundaries(data: bytes) -> Iterator[tuple[int, int]]:
    """Yields where each whole event ends, and where the next one starts."""
    if b"\r" in data:
        yield from (match.span() for match in _BLANK_LINE.finditer(data))
        return
    end = data.find(b"\n\n")
    while end >= 0:
        yield end, end + 2
        end = data.find(b"\n\n", end + 2)


def _fields(event: bytes) -> tuple[str, bytes]:
    """Returns the name of an event and its data: `data` lines are joined, comments are dropped."""
    name, data = "", []
    for line in _LINE_END.split(event):
        field, _, value = line.partition(b":")
        if field == b"event":
            name = value.removeprefix(b" ").decode("utf-8", "replace")
        elif field == b"data":
            data.append(value.removeprefix(b" "))
    return name, b"\n".join(data)

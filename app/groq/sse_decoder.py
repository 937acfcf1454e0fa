"""Groq's server-sent events: bytes in, blocks out. Pure: what arrives may be split at any byte."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from app.core.errors import UpstreamBroken
from app.groq.chunks import Chunk, note, parse
from app.services.chat.block import Block

_BLANK_LINE = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_decode_all = msgspec.json.Decoder(list[Chunk]).decode
_START = b"data: {"
_NOT_THE_USUAL_SHAPE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class SseDecoder:
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
    if any(chunk.error for chunk in chunks):
        return 0
    for chunk in chunks:
        note(chunk, block)
    return end + 2


def _read(event: bytes, block: Block) -> None:
    """Any event that the standard allows: comments, names, data over several lines."""
    name, data = ("", event[6:]) if event.startswith(_START) and _is_one_line(event) else _fields(event)
    if data.strip() == b"[DONE]":
        block.ended = True
    elif data:
        try:
            chunk = parse(data)
        except ValueError as exc:
            block.error = UpstreamBroken("Groq sent an event that is not JSON")
            block.error.__cause__ = exc
            return
        if name == "error":
            chunk = chunk if chunk and chunk.error else Chunk(error=_any_json(data))
        if chunk is not None:
            note(chunk, block)
        else:
            block.unexpected.add("event")
            block.chunks += 1
            block.other_bytes += len(event)


def _is_one_line(event: bytes) -> bool:
    return b"\n" not in event and b"\r" not in event


def _any_json(data: bytes) -> Any:
    """The content of an error event that has no `error` field: it is the error itself."""
    try:
        return msgspec.json.decode(data) or {"message": ""}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {"message": ""}


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


def _fields(event: bytes) -> tuple[str, bytes]:
    """The name of an event and its data, by the standard: `data` lines are joined, comments are dropped."""
    name, data = "", []
    for line in _LINE_END.split(event):
        field, _, value = line.partition(b":")
        if field == b"event":
            name = value.removeprefix(b" ").decode("utf-8", "replace")
        elif field == b"data":
            data.append(value.removeprefix(b" "))
    return name, b"\n".join(data)

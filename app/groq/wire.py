"""Groq's server-sent events: bytes in, blocks out. Pure: what arrives may be split at any byte."""

import json
import re
from collections.abc import Iterator

import msgspec

from app.chat.block import Block
from app.core.errors import UpstreamBroken
from app.groq.chunks import Chunk, note

_BLANK_LINE = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LINE_END = re.compile(r"\r\n|\n|\r")
_decode = msgspec.json.Decoder(Chunk).decode
_decode_all = msgspec.json.Decoder(list[Chunk]).decode
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
        note(chunk, block)
    return end + 2


def _read(event: bytes, block: Block) -> None:
    if event.startswith(_START):
        try:
            chunk = _decode(event[6:])
        except _NOT_THE_USUAL_SHAPE:
            pass  # the slow way knows them all
        else:
            note(chunk, block)
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
            chunk = msgspec.convert(content, Chunk)
        except (ValueError, TypeError, AttributeError, RecursionError) as exc:
            block.error = UpstreamBroken("Groq sent an event that is not what its API describes")
            block.error.__cause__ = exc
        else:
            note(chunk, block)


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

"""Blocks of a stream: what one read of the provider's answer returned, and the events that the service adds."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from app.core.errors import ServiceError
from app.services.chat.usage import Usage

DONE = b"data: [DONE]\n\n"
"""The receipt: the row of the chat is durable."""

KEEPALIVE = b": waiting\n\n"
"""A comment, which clients skip: proxies see traffic on the connection."""

_PIECE_BYTES = 2**16
_LONGEST_ESCAPE = len("\\u0000")


def in_pieces(body: bytes) -> Iterator[bytes]:
    """A whole body in pieces: a slow client has CLIENT_WRITE_TIMEOUT_S to accept each."""
    return (body[start : start + _PIECE_BYTES] for start in range(0, len(body), _PIECE_BYTES))


def error_event(error: ServiceError) -> bytes:
    """A failure after the first block was sent, when the HTTP status can no longer change."""
    return b"event: error\ndata: " + msgspec.json.encode(error.envelope()) + b"\n\n"


@dataclass(slots=True)
class Block:
    """Whole events (or one whole JSON answer), byte for byte, and the fields that were read from them.

    `chunks`: events that were chunks of the answer; comments are not. `progress_chunks`: those that made progress,
    which is anything in a delta beyond the role and the channel (gpt-oss's label of reasoning or answer). `choices`:
    how many choices the answer has, by the highest index seen. `finished_choices`: indexes of the choices that have
    their finish_reason. `other_bytes`: the size, as JSON, of everything in deltas that is neither text nor reasoning.
    `ended`: the answer ends with this block. `early_stop`: the text of `x_groq.error`, after which no finish_reason
    follows. `unexpected`: names of fields that were not read, because their value has an invalid type or range.
    `error`: the answer failed after `data`.
    """

    data: bytes = b""
    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    refusal: list[str] = field(default_factory=list)
    tool_calls: list[Any] = field(default_factory=list)
    other_bytes: int = 0
    chunks: int = 0
    progress_chunks: int = 0
    choices: int = 1
    finished_choices: set[int] = field(default_factory=set)
    model: str | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    upstream_response_id: str | None = None
    upstream_request_id: str | None = None
    ended: bool = False
    early_stop: str | None = None
    unexpected: set[str] = field(default_factory=set)
    error: ServiceError | None = None

    @property
    def answer_bytes(self) -> int:
        """The size, as JSON, of what the block adds to the answer."""
        return json_bytes(self.text) + json_bytes(self.reasoning) + self.other_bytes

    def append(self, later: "Block") -> None:
        """Adds a later block."""
        self.data += later.data
        self.text += later.text
        self.reasoning += later.reasoning
        self.merge_fields(later)

    def merge_fields(self, later: "Block") -> None:
        """Adds a later block without its data, text and reasoning."""
        self.refusal += later.refusal
        self.tool_calls += later.tool_calls
        self.other_bytes += later.other_bytes
        self.chunks += later.chunks
        self.progress_chunks += later.progress_chunks
        self.choices = max(self.choices, later.choices)
        self.finished_choices |= later.finished_choices
        self.unexpected |= later.unexpected
        self.ended = later.ended
        self.model = later.model or self.model
        self.finish_reason = later.finish_reason or self.finish_reason
        self.usage = later.usage or self.usage
        self.upstream_response_id = self.upstream_response_id or later.upstream_response_id
        self.upstream_request_id = later.upstream_request_id or self.upstream_request_id
        self.early_stop = later.early_stop or self.early_stop
        self.error = later.error or self.error


def json_bytes(pieces: list[str]) -> int:
    """The size of a text in JSON, without its quotes."""
    text = "".join(pieces)
    try:
        return len(msgspec.json.encode(text)) - len('""')
    except UnicodeEncodeError:  # half a surrogate pair: it is stored as another character
        return _LONGEST_ESCAPE * len(text)

"""What one read of Groq's answer brought: bytes to relay, and the facts in them."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from app.core.errors import ServiceError

_LONGEST_ESCAPE = len("\\u0000")


@dataclass(slots=True)
class Usage:
    """Tokens as Groq counts them: `completion` includes `reasoning`, `prompt` includes `cached`. Times in seconds."""

    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    queue_s: float | None = None
    prompt_s: float | None = None
    completion_s: float | None = None


@dataclass(slots=True)
class Block:
    """Whole events (or one whole JSON answer), byte for byte, and the facts read from them in passing.

    `chunks`: events that were chunks of the answer; comments are not. `deltas`: those that made progress, which is
    anything in a delta beyond the role. `choices`: how many choices the answer has, by the highest index seen.
    `finished`: the indexes of the choices that have finished. `other_bytes`: the size, as JSON, of everything in deltas
    that is neither text nor reasoning. `ended`: the end of the answer has been read. `early_stop`: Groq's reason for
    stopping early, if it gave one. `unexpected`: fields whose value had a type or range that makes no sense; the fact
    is unknown then. `error`: the answer failed after `data`.
    """

    data: bytes = b""
    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    refusal: list[str] = field(default_factory=list)
    tool_calls: list[Any] = field(default_factory=list)
    other_bytes: int = 0
    chunks: int = 0
    deltas: int = 0
    choices: int = 1
    finished: set[int] = field(default_factory=set)
    model: str | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    groq_response_id: str | None = None
    groq_request_id: str | None = None
    ended: bool = False
    early_stop: str | None = None
    unexpected: set[str] = field(default_factory=set)
    error: ServiceError | None = None

    @property
    def answer_bytes(self) -> int:
        """The size, as JSON, of what the block adds to the answer."""
        return json_bytes(self.text) + json_bytes(self.reasoning) + self.other_bytes

    def append(self, later: "Block") -> None:
        """Adds the block that was read after this one."""
        self.data += later.data
        self.text += later.text
        self.reasoning += later.reasoning
        self.refusal += later.refusal
        self.tool_calls += later.tool_calls
        self.other_bytes += later.other_bytes
        self.chunks += later.chunks
        self.deltas += later.deltas
        self.choices = max(self.choices, later.choices)
        self.finished |= later.finished
        self.unexpected |= later.unexpected
        self.ended = later.ended
        self.groq_response_id = self.groq_response_id or later.groq_response_id
        for name in ("model", "finish_reason", "usage", "groq_request_id", "early_stop", "error"):
            setattr(self, name, getattr(later, name) or getattr(self, name))


def json_bytes(pieces: list[str]) -> int:
    """The size of a text in JSON, without its quotes."""
    text = "".join(pieces)
    try:
        return len(msgspec.json.encode(text)) - len('""')
    except UnicodeEncodeError:  # half a surrogate pair: it is stored as another character
        return _LONGEST_ESCAPE * len(text)

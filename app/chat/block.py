"""What one read of Groq's stream brought: bytes to relay, and what they mean."""

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
    """Whole events, byte for byte, and the facts read from them in passing.

    `chunks` counts the events that were Groq's chunks, `deltas` those that brought something to read: the empty opening
    chunk does not, and a comment is not even a chunk.
    `ended`: Groq's end has been read. `early_stop`: why Groq stopped early, where it said so.
    `error`: the stream failed behind `data`.
    """

    data: bytes = b""
    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    chunks: int = 0
    deltas: int = 0
    model: str | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    groq_response_id: str | None = None
    groq_request_id: str | None = None
    ended: bool = False
    early_stop: str | None = None
    error: ServiceError | None = None

    @property
    def answer_bytes(self) -> int:
        """The size of what it adds to the answer, as JSON; tool calls count as the whole block that they came in."""
        return _as_json(self.text) + _as_json(self.reasoning) + (len(self.data) if self.tool_calls else 0)


def _as_json(pieces: list[str]) -> int:
    text = "".join(pieces)
    try:
        return len(msgspec.json.encode(text)) - len('""')
    except UnicodeEncodeError:  # half a surrogate pair, which becomes another character
        return _LONGEST_ESCAPE * len(text)

"""What a client has read of one streamed answer: takes bytes and times, and never waits."""

import json
from typing import Any

_END = b"\n\n"
_DONE = b"data: [DONE]"
_ERROR = b"event: error\n"
_DATA = b"data: "
_TOKEN_FIELDS = ("content", "reasoning", "tool_calls")


class Answer:
    """`first_token_at` and `last_token_at` are on the caller's clock.

    Groq's first event has a role and an empty content: it is no token. `done`: the receipt has come. `error_code` is
    that of the error event.
    """

    def __init__(self) -> None:
        self.first_token_at: float | None = None
        self.last_token_at: float | None = None
        self.tokens = 0
        self.bytes = 0
        self.text = ""
        self.done = False
        self.error_code: str | None = None
        self._rest = b""

    def feed(self, data: bytes, now: float = 0) -> None:
        self.bytes += len(data)
        *events, self._rest = (self._rest + data).split(_END)
        for event in events:
            self._read(event, now)

    @property
    def time_per_output_token_s(self) -> float | None:
        """(last - first) / (tokens - 1); None with fewer than two."""
        if self.tokens < 2 or self.first_token_at is None or self.last_token_at is None:
            return None
        return (self.last_token_at - self.first_token_at) / (self.tokens - 1)

    def _read(self, event: bytes, now: float) -> None:
        if event == _DONE:
            self.done = True
        elif event.startswith(_ERROR):
            self.error_code = error_code(event[len(_ERROR + _DATA) :]) or "without a code"
        elif event.startswith(_DATA):
            self._read_chunk(_object(event[len(_DATA) :]), now)

    def _read_chunk(self, chunk: dict[str, Any], now: float) -> None:
        deltas = [choice.get("delta") or {} for choice in chunk.get("choices") or []]
        if any(delta.get(field) for delta in deltas for field in _TOKEN_FIELDS):
            self.tokens += 1
            self.last_token_at = now
            self.first_token_at = now if self.first_token_at is None else self.first_token_at
            self.text += "".join(delta.get("content") or "" for delta in deltas)


def error_code(body: bytes) -> str | None:
    """The code in OpenAI's envelope, `{"error": {"code": …}}`; None for anything else."""
    error = _object(body).get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, str) else None


def _object(data: bytes) -> dict[str, Any]:
    """Empty for what is no JSON object."""
    try:
        content = json.loads(data)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}

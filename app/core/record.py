"""One chat as it is kept and told: a field for each column of `chat_logs`, and what only the signals tell."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from msgspec import Raw

from app.core.outcomes import Outcome
from app.core.storable import storable

ANSWER_FIELDS = (
    "cached_tokens", "choices", "completion_time", "completion_tokens", "completion_tokens_details", "content", "delta",
    "error", "event", "finish_reason", "id", "index", "message", "model", "prompt_time", "prompt_tokens",
    "prompt_tokens_details", "queue_time", "reasoning", "reasoning_content", "reasoning_tokens", "refusal",
    "tool_calls", "usage", "x_groq",
)  # fmt: skip
"""The fields of an answer that are read in passing; `event` is one that is no JSON object."""


class Kept(StrEnum):
    """Where a row is: in each of these it is on a disk."""

    DATABASE = "database"
    SPOOL = "spool"
    """It waits for the database."""
    REJECTED = "rejected"
    """The database refused it for what is in it; it waits for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What traces, metrics and the log tell of a chat, and its row does not. Times are in milliseconds.

    `streamed`: the client was sent the answer as it came, and not as one object at the end.
    `overhead_ms` is our part of the time to first token: all of it but the waits for Groq and for a free place.
    `longest_silence_ms` is Groq's; `stalls` are the longer ones: when, from the request on, and how long.
    `backpressure_ms` is the time that blocks took to hand over to the client.
    `groq_queue_ms`, `groq_prompt_ms` and `groq_completion_ms` are as Groq counted.
    `unexpected_fields` are those of Groq's answer whose type or range made no sense; their facts are unknown.
    """

    streamed: bool = True
    groq_response_id: str | None = None
    groq_first_chunk_ms: float | None = None
    time_per_output_token_ms: float | None = None
    overhead_ms: float | None = None
    longest_silence_ms: float = 0.0
    stalls: tuple[tuple[float, float], ...] = ()
    backpressure_ms: float = 0.0
    retry_wait_ms: float = 0.0
    groq_queue_ms: float | None = None
    groq_prompt_ms: float | None = None
    groq_completion_ms: float | None = None
    chunks: int = 0
    bytes: int = 0
    unexpected_fields: tuple[str, ...] = ()


NO_MESSAGES = Raw(b"null")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRecord:
    """What was asked, what came, how it ended. Times are in milliseconds, money in US dollars.

    `response` is the text of the answer as the client received it; `reasoning`, `refusal` and `tool_calls` came
    beside it. Each is None where nothing came. `ttft_ms` is None without a stream: a whole answer has no first token.
    `usage_source` is `upstream`, or `estimated` when the chat broke off before Groq had counted (`chat/counting.py`);
    there is none, and no tokens, where Groq did no work.
    `attempt_log` has each request to Groq, until its progress or its failure: `model`, `started_ms` and `ended_ms`
    from the chat's beginning on, `result` (`ok` or the error's code), the HTTP `status`, if there was one, and the
    `cause` where the connection failed (`core.errors.CONNECTION_CAUSES`).
    `messages` is the JSON text that the client sent, and so is each field of `params` that the service does not read.
    It is `NO_MESSAGES` if the content of the chat is not stored (`core/content.py`); the column is NULL then.
    Those in `NO_COLUMNS` are for the signals alone; `traceparent` names the chat's span, as in W3C's header.
    """

    id: UUID
    created_at: datetime
    outcome: Outcome
    error_code: str | None
    http_status: int
    requested_model: str
    model_name: str
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    reasoning_tokens: int | None
    cached_tokens: int | None
    usage_source: str | None
    cost_usd: float | None
    ttft_ms: float | None
    duration_ms: float
    queue_ms: float
    attempts: int
    groq_request_id: str | None
    client_request_id: str | None
    client: str | None = None
    trace_id: str | None = None
    prompt: str | None
    messages: Raw
    params: dict[str, Any]
    response: str | None
    reasoning: str | None
    refusal: str | None = None
    tool_calls: list[Any] | None
    attempt_log: list[dict[str, Any]] | None = None

    route: str | None = None
    traceparent: str | None = None
    details: Details = Details()

    def storable(self) -> Self:
        """Without the characters that no database stores."""
        return replace(self, **{name: storable(getattr(self, name)) for name in _TEXTS})


_TEXTS = (
    "requested_model", "model_name", "finish_reason", "error_code", "groq_request_id", "client_request_id", "client",
    "prompt", "messages", "params", "response", "reasoning", "refusal", "tool_calls", "attempt_log",
)  # fmt: skip
NO_COLUMNS = frozenset({"route", "traceparent", "details"})

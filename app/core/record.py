"""One chat as it is kept and told: a field for each column of `chat_logs`, and what only the signals tell."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from msgspec import Raw, json

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
    `upstream_queue_ms`, `upstream_prompt_ms` and `upstream_completion_ms` are as Groq counted.
    `unexpected_fields` are those of Groq's answer whose type or range made no sense; their facts are unknown.
    """

    streamed: bool = True
    upstream_response_id: str | None = None
    upstream_first_chunk_ms: float | None = None
    time_per_output_token_ms: float | None = None
    overhead_ms: float | None = None
    longest_silence_ms: float = 0.0
    stalls: tuple[tuple[float, float], ...] = ()
    backpressure_ms: float = 0.0
    retry_wait_ms: float = 0.0
    upstream_queue_ms: float | None = None
    upstream_prompt_ms: float | None = None
    upstream_completion_ms: float | None = None
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
    It is `NO_MESSAGES` if the content of the chat is not stored (`core/record.py`); the column is NULL then.
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
    upstream_request_id: str | None
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
    "requested_model", "model_name", "finish_reason", "error_code", "upstream_request_id", "client_request_id",
    "client", "prompt", "messages", "params", "response", "reasoning", "refusal", "tool_calls", "attempt_log",
)  # fmt: skip
NO_COLUMNS = frozenset({"route", "traceparent", "details"})


# ── Content ──────────────────────────────────────────────────────────────────────────────────────────────────────────
# Content is what people and models wrote: whatever is not listed here. A new column or parameter is content until it is
# listed.

FACTS = frozenset({
    "id", "created_at", "client", "client_request_id", "trace_id", "requested_model", "model_name",
    "outcome", "error_code", "http_status", "finish_reason",
    "prompt_tokens", "completion_tokens", "reasoning_tokens", "cached_tokens", "usage_source", "cost_usd",
    "ttft_ms", "duration_ms", "queue_ms", "attempts", "attempt_log", "upstream_request_id",
})  # fmt: skip
"""Columns that hold no content: rows always have them, and the page shows them."""

_PLAIN_PARAMS = frozenset({
    "temperature", "top_p", "max_tokens", "max_completion_tokens", "seed", "n", "presence_penalty",
    "frequency_penalty", "logprobs", "top_logprobs", "parallel_tool_calls", "include_reasoning", "stream", "store",
})  # fmt: skip
"""Parameters whose numbers and booleans are facts."""
_KNOWN_WORDS = {
    "service_tier": {"auto", "default", "flex", "on_demand", "performance", "priority"},
    "reasoning_effort": {"none", "minimal", "low", "medium", "high", "default"},
    "reasoning_format": {"hidden", "parsed", "raw"},
}
"""Parameters that are one of a few words. Any other text there may be anybody's."""
_STREAM_OPTIONS = ("include_usage", "include_obfuscation")
_MAY_BE_FACTS = {*_PLAIN_PARAMS, *_KNOWN_WORDS, "stream_options"}


def without_content(record: ChatRecord) -> ChatRecord:
    """The record with NULL in every column that is not one of `FACTS`, and only plain facts in `params`."""
    columns = {field.name for field in fields(record)} - NO_COLUMNS - {"params"}
    content: dict[str, Any] = dict.fromkeys(columns - FACTS) | {"messages": NO_MESSAGES}
    params = {name: fact for name, value in record.params.items() if (fact := _fact(name, value)) is not None}
    return replace(record, **content, params=params)


def _fact(name: str, value: Any) -> Any:
    """The value if it is a plain fact, otherwise None. A field that the service does not read is JSON text."""
    if isinstance(value, Raw) and name in _MAY_BE_FACTS:
        value = json.decode(value)
    if name in _PLAIN_PARAMS:
        return value if isinstance(value, bool | int | float) else None
    if name in _KNOWN_WORDS:
        return value if isinstance(value, str) and value in _KNOWN_WORDS[name] else None
    if name == "stream_options" and isinstance(value, Mapping):
        return {option: value[option] for option in _STREAM_OPTIONS if isinstance(value.get(option), bool)}
    return None

"""The record of a chat: a field for each column of `chat_logs`, and details for traces, metrics and logs."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from msgspec import Raw, json

from app.core.outcomes import Outcome
from app.core.text import storable

ANSWER_FIELDS = (
    "cached_tokens", "choices", "completion_time", "completion_tokens", "completion_tokens_details", "content", "delta",
    "error", "event", "finish_reason", "id", "index", "message", "model", "prompt_time", "prompt_tokens",
    "prompt_tokens_details", "queue_time", "reasoning", "reasoning_content", "reasoning_tokens", "refusal",
    "tool_calls", "usage", "x_groq",
)  # fmt: skip
"""Fields of an answer that are read: the label values of `chat_upstream_unexpected_fields_total`. `event` stands for an
event that is no JSON object."""


class StoredIn(StrEnum):
    """Where a durable row is stored."""

    DATABASE = "database"
    OUTBOX = "outbox"
    REJECTED = "rejected"
    """In the outbox, because the database rejected the row for its content. `python -m app outbox` shows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What only traces, metrics and logs have. Times are in milliseconds.

    `streamed`: the client received the answer while it arrived, and not as one object at the end.
    `overhead_ms` is the service's part of the time to first token, without the waits for provider and admission.
    `longest_silence_ms` is the longest wait for a chunk; `stalls` has the start and length of the first silences of a
    second or more.
    `backpressure_ms` is the time that the client took to accept blocks.
    `upstream_queue_ms`, `upstream_prompt_ms` and `upstream_completion_ms` are measured by the provider.
    `hidden_reasoning`: the request hides the model's reasoning, so the provider sends nothing until it ends.
    `unexpected_fields` are fields of the answer with an invalid type or range, which are left out.
    """

    streamed: bool = True
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
    hidden_reasoning: bool = False
    unexpected_fields: tuple[str, ...] = ()


NO_MESSAGES = Raw(b"null")
_CALL_BYTES = 200  # a rough size: the answer's limit bounds all of them


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRecord:
    """The request, the answer, and how the chat ended. Times are in milliseconds, money in US dollars.

    `response` is the text of the answer as the client received it, beside `reasoning`, `refusal` and `tool_calls`. Each
    is None if the answer had none. `ttft_ms` is None for an answer that was not streamed. `usage_source` is `upstream`,
    or `estimated` when the chat ended before the provider sent its usage (`services/chat/usage.py`); it and the tokens
    are None if the provider did no work. `attempt_log` has each request to the provider: `model`, `started_ms` and
    `ended_ms` since the request arrived, `result` (`ok`, `cancelled` or the error's code), the HTTP `status`, if there
    was one, the `cause` if the connection failed (`core.upstream.CONNECTION_CAUSES`), and the `message` with which the
    provider refused the request, which may quote it. An attempt ends at its first progress or its failure.
    `upstream_response_id` is the id that the answer itself has. `end_user` is the request's `safety_identifier` or
    `user`. `client_left_at` is when the client disconnected or stalled. `messages` is the JSON text that the client
    sent, and so is each field of `params` that the service does not read. It is `NO_MESSAGES` if the content of the
    chat is not stored; the column is NULL then. The fields in `NO_COLUMNS` are not stored; `traceparent` names the
    chat's span in the form of W3C's header.
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
    upstream_request_id: str | None = None
    upstream_response_id: str | None = None
    client_request_id: str | None
    client: str | None = None
    client_left_at: datetime | None = None
    end_user: str | None = None
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

    @property
    def content_bytes(self) -> int:
        """The approximate size of the prompt and the answer, where the row is large."""
        texts = (self.prompt, self.response, self.reasoning)
        raw = (self.messages, *(value for value in self.params.values() if isinstance(value, Raw)))
        calls = len(self.tool_calls) * _CALL_BYTES if self.tool_calls else 0
        return sum(len(memoryview(value)) for value in raw) + sum(len(text) for text in texts if text) + calls

    def storable(self) -> Self:
        """Returns the record without the characters that databases cannot store: a copy, if it has any."""
        texts = {name: getattr(self, name) for name in _TEXTS}
        changed = {name: new for name, text in texts.items() if (new := storable(text)) is not text and new != text}
        return replace(self, **changed) if changed else self


_TEXTS = (
    "requested_model", "model_name", "finish_reason", "error_code", "upstream_request_id", "upstream_response_id",
    "client_request_id", "client", "end_user", "prompt", "messages", "params", "response", "reasoning", "refusal",
    "tool_calls", "attempt_log",
)  # fmt: skip
NO_COLUMNS = frozenset({"route", "traceparent", "details"})


# ── Content ──────────────────────────────────────────────────────────────────────────────────────────────────────────
# Content is what people and models wrote, and `end_user`, which identifies a person: whatever is not listed here. A new
# column or parameter is content until it is listed.

METADATA = frozenset({
    "id", "created_at", "client", "client_request_id", "client_left_at", "trace_id", "requested_model", "model_name",
    "outcome", "error_code", "http_status", "finish_reason",
    "prompt_tokens", "completion_tokens", "reasoning_tokens", "cached_tokens", "usage_source", "cost_usd",
    "ttft_ms", "duration_ms", "queue_ms", "attempts", "attempt_log", "upstream_request_id",
    "upstream_response_id",
})  # fmt: skip
"""Columns that hold no content, without the `message` of an attempt: rows always have them, and the page and stored
chats show them."""

_PLAIN_PARAMS = frozenset({
    "temperature", "top_p", "max_tokens", "max_completion_tokens", "seed", "n", "presence_penalty",
    "frequency_penalty", "logprobs", "top_logprobs", "parallel_tool_calls", "include_reasoning", "stream", "store",
})  # fmt: skip
"""Parameters whose numbers and booleans are metadata."""
_KNOWN_WORDS = {
    "service_tier": {"auto", "default", "flex", "on_demand", "performance", "priority"},
    "reasoning_effort": {"none", "minimal", "low", "medium", "high", "default"},
    "reasoning_format": {"hidden", "parsed", "raw"},
}
"""Parameters with a closed set of values. Any other text may be content."""
_STREAM_OPTIONS = ("include_usage", "include_obfuscation")
_MAY_BE_METADATA = {*_PLAIN_PARAMS, *_KNOWN_WORDS, "stream_options"}


def without_content(record: ChatRecord) -> ChatRecord:
    """The record with NULL in every column that is not one of `METADATA`, and only metadata in `params`."""
    columns = {field.name for field in fields(record)} - NO_COLUMNS - {"params"}
    content: dict[str, Any] = dict.fromkeys(columns - METADATA) | {"messages": NO_MESSAGES}
    if record.attempt_log:
        content["attempt_log"] = [
            each | {"message": None} if "message" in each else each for each in record.attempt_log
        ]
    params = {name: plain for name, value in record.params.items() if (plain := _metadata(name, value)) is not None}
    return replace(record, **content, params=params)


def _metadata(name: str, value: Any) -> Any:
    """The value if it is metadata, otherwise None. A field that the service does not read is JSON text."""
    if isinstance(value, Raw) and name in _MAY_BE_METADATA:
        value = json.decode(value)
    if name in _PLAIN_PARAMS:
        return value if isinstance(value, bool | int | float) else None
    if name in _KNOWN_WORDS:
        return value if isinstance(value, str) and value in _KNOWN_WORDS[name] else None
    if name == "stream_options" and isinstance(value, Mapping):
        return {option: value[option] for option in _STREAM_OPTIONS if isinstance(value.get(option), bool)}
    return None

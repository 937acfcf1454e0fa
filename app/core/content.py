"""Which columns of a chat are plain facts, and which are content: what people and models wrote.

Content is whatever is not listed here. A new column or parameter is private until somebody adds it.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import msgspec

from app.core.record import NO_COLUMNS, NO_MESSAGES, ChatRecord

FACTS = frozenset({
    "id", "created_at", "client", "client_request_id", "trace_id", "requested_model", "model_name",
    "outcome", "error_code", "http_status", "finish_reason",
    "prompt_tokens", "completion_tokens", "reasoning_tokens", "cached_tokens", "usage_source", "cost_usd",
    "ttft_ms", "duration_ms", "queue_ms", "attempts", "attempt_log", "groq_request_id",
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
    columns = {field.name for field in dataclasses.fields(record)} - NO_COLUMNS - {"params"}
    content: dict[str, Any] = dict.fromkeys(columns - FACTS) | {"messages": NO_MESSAGES}
    params = {name: fact for name, value in record.params.items() if (fact := _fact(name, value)) is not None}
    return dataclasses.replace(record, **content, params=params)


def _fact(name: str, value: Any) -> Any:
    """The value if it is a plain fact, otherwise None. A field that the service does not read is JSON text."""
    if isinstance(value, msgspec.Raw) and name in _MAY_BE_FACTS:
        value = msgspec.json.decode(value)
    if name in _PLAIN_PARAMS:
        return value if isinstance(value, bool | int | float) else None
    if name in _KNOWN_WORDS:
        return value if isinstance(value, str) and value in _KNOWN_WORDS[name] else None
    if name == "stream_options" and isinstance(value, Mapping):
        return {option: value[option] for option in _STREAM_OPTIONS if isinstance(value.get(option), bool)}
    return None

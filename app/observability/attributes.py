"""Attributes of spans: facts about a chat, never a prompt or an answer.

Names follow OpenTelemetry's semantic conventions where those have one. The GenAI conventions are in development and
have no stable package of constants; docs/observability.md lists every name.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from app.core.errors import ServiceError
from app.core.record import ChatRecord, StoredIn
from app.core.upstream import Attempt

Attributes = dict[str, Any]
_MAX_BITS = 63  # of a signed integer in OTLP, beside its sign


def request_attributes(chat_id: UUID, payload: Mapping[str, Any]) -> Attributes:
    """What is known of a chat when its span starts."""
    attributes: Attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "groq",
        "gen_ai.request.model": payload.get("model"),
        "gen_ai.request.stream": payload.get("stream"),
        "gen_ai.request.max_tokens": payload.get("max_tokens") or payload.get("max_completion_tokens"),
        "gen_ai.request.temperature": payload.get("temperature"),
        "gen_ai.request.top_p": payload.get("top_p"),
        "gen_ai.request.seed": payload.get("seed"),
        "chat.id": str(chat_id),
    }
    return _exportable(_known(attributes))


def outcome_attributes(record: ChatRecord, error: ServiceError | None) -> Attributes:
    """What is known of a chat when it has ended."""
    details = record.details
    attributes: Attributes = {
        "chat.outcome": record.outcome,
        "chat.client": record.client,
        "error.type": type(error).code if error else None,
        "gen_ai.response.id": record.upstream_response_id,
        "gen_ai.response.model": record.model_name,
        "gen_ai.response.finish_reasons": [record.finish_reason] if record.finish_reason else None,
        "gen_ai.response.time_to_first_chunk": _seconds(details.upstream_first_chunk_ms),
        "gen_ai.usage.input_tokens": record.prompt_tokens,
        "gen_ai.usage.output_tokens": record.completion_tokens,
        "gen_ai.usage.cache_read.input_tokens": record.cached_tokens,
        "gen_ai.usage.reasoning.output_tokens": record.reasoning_tokens,
        "chat.usage_source": record.usage_source,
        "chat.cost_usd": record.cost_usd,
        "chat.ttft_s": _seconds(record.ttft_ms),
        "chat.time_per_output_token_s": _seconds(details.time_per_output_token_ms),
        "chat.longest_silence_s": _seconds(details.longest_silence_ms),
        "chat.overhead_s": _seconds(details.overhead_ms),
        "chat.backpressure_s": _seconds(details.backpressure_ms),
        "chat.bytes": details.bytes,
        "chat.attempts": record.attempts,
        "groq.request_id": record.upstream_request_id,
        "groq.queue_time": _seconds(details.upstream_queue_ms),
        "groq.prompt_time": _seconds(details.upstream_prompt_ms),
        "groq.completion_time": _seconds(details.upstream_completion_ms),
    }
    return _known(attributes)


def attempt_attributes(number: int, attempt: Attempt) -> Attributes:
    """One request to Groq; `number` counts from 0."""
    remaining = {f"groq.ratelimit.remaining_{kind}": limit.remaining for kind, limit in attempt.rate_limits.items()}
    attributes: Attributes = {
        "http.request.method": "POST",
        "http.request.resend_count": number or None,
        "http.response.status_code": attempt.status,
        "gen_ai.request.model": attempt.model,
        "error.type": None if attempt.error is None else attempt.result,
        "groq.connection_failure": attempt.cause,
        **remaining,
    }
    return _known(attributes)


def retry_attributes(failed: Attempt, *, wait_s: float) -> Attributes:
    """The event between a failed attempt and the next one."""
    return _known({"error.type": failed.result, "http.response.status_code": failed.status, "wait_s": wait_s})


def commit_attributes(rows: int, *, database: str | None, failure: str | None) -> Attributes:
    """One commit, to the outbox if `database` is None."""
    attributes: Attributes = {
        "chat_logs.rows": rows,
        "chat_logs.stored_in": StoredIn.OUTBOX if database is None else StoredIn.DATABASE,
        "db.system.name": database,
        "error.type": failure,
    }
    return _known(attributes)


def _known(attributes: Attributes) -> Attributes:
    return {name: value for name, value in attributes.items() if value is not None}


def _exportable(attributes: Attributes) -> Attributes:
    """Without integers of more than 64 bits, which a client may send: they have no form in OTLP."""
    return {
        name: value
        for name, value in attributes.items()
        if not (isinstance(value, int) and value.bit_length() > _MAX_BITS)
    }


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000

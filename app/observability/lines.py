"""The wide line: one for each chat, with the facts of its row and those that only signals have.

A line has the fields that are listed here, and no others: what people and models wrote is in none.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from app.core.attempt import Attempt
from app.core.errors import InternalError, ServiceError
from app.core.record import ChatRecord, Kept
from app.observability.tracebacks import without_messages

_OF_THE_RECORD = (
    "created_at", "route", "client", "client_request_id", "trace_id", "outcome", "error_code", "http_status",
    "requested_model", "model_name", "finish_reason",
    "prompt_tokens", "completion_tokens", "reasoning_tokens", "cached_tokens", "usage_source", "cost_usd",
    "ttft_ms", "duration_ms", "queue_ms", "attempts", "upstream_request_id",
)  # fmt: skip
_OF_THE_DETAILS = (
    "streamed", "upstream_response_id", "upstream_first_chunk_ms", "time_per_output_token_ms", "overhead_ms",
    "longest_silence_ms", "backpressure_ms", "retry_wait_ms", "upstream_queue_ms", "upstream_prompt_ms",
    "upstream_completion_ms", "chunks", "bytes", "unexpected_fields",
)  # fmt: skip


def of_chat(record: ChatRecord, attempts: Sequence[Attempt], *, commit_s: float, kept: Kept | None) -> dict[str, Any]:
    """The facts of a chat; the headers of its last attempt tell what is left of Groq's limits."""
    limits = attempts[-1].rate_limits if attempts else {}
    remaining = {f"ratelimit_remaining_{kind}": each.remaining for kind, each in limits.items()}
    return {
        "request_id": str(record.id),
        **{name: getattr(record, name) for name in _OF_THE_RECORD},
        **{name: getattr(record.details, name) for name in _OF_THE_DETAILS},
        "attempt_results": [attempt.result for attempt in attempts],
        "connection_failures": [attempt.cause for attempt in attempts if attempt.cause],
        "commit_ms": round(commit_s * 1000, 3),
        "kept": kept,
        **remaining,
    }


def of_refusal(error: ServiceError, *, request_id: UUID, route: str) -> dict[str, Any]:
    """The facts of a request that was turned away at the door."""
    return {
        "request_id": str(request_id),
        "route": route,
        "outcome": error.outcome,
        "error_code": error.reported_code,
        "http_status": error.status,
        "param": error.param,
    }


def tell(
    log: Any, facts: dict[str, Any], error: ServiceError | None, lost: ServiceError | None, *, private: bool
) -> None:
    """At the level that it deserves: only what we failed at is an error of ours. `lost`: the row is nowhere.

    `private`: the content of the chat is not stored, so that no message of an exception, which may quote it, is logged.
    """
    bug = error.__cause__ if isinstance(error, InternalError) else None
    if bug is not None and private:
        facts |= {"exception": without_messages((type(bug), bug, bug.__traceback__))}
    if lost is not None:
        # Not its traceback: what a database says of a row may quote it.
        facts |= {"error": str(lost.__cause__ or lost), "failed_with": error and error.reported_code}
    if lost is not None or bug is not None:
        log.error("chat.finished", **facts, exc_info=None if private else bug)
    else:
        log.info("chat.finished", **facts)

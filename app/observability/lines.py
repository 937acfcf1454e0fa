"""The wide line: one for each chat, with every fact of its row but the texts, and those that only signals tell."""

import dataclasses
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from app.core.attempt import Attempt
from app.core.errors import InternalError, ServiceError
from app.core.record import NO_COLUMNS, WORDS, ChatRecord, Details, Kept

# A line is no place for what people said to each other; it has the id of the row that is.
_NOT_IN_THE_LINE = {"id", "attempt_log"} | WORDS | (NO_COLUMNS - {"route"})
_OF_THE_ROW = tuple(field.name for field in dataclasses.fields(ChatRecord) if field.name not in _NOT_IN_THE_LINE)
_OF_THE_DETAILS = tuple(field.name for field in dataclasses.fields(Details) if field.name != "stalls")


def of_chat(record: ChatRecord, attempts: Sequence[Attempt], *, commit_s: float, kept: Kept | None) -> dict[str, Any]:
    """The facts of a chat; the headers of its last attempt tell what is left of Groq's limits."""
    limits = attempts[-1].rate_limits if attempts else {}
    remaining = {f"ratelimit_remaining_{kind}": each.remaining for kind, each in limits.items()}
    return {
        "request_id": str(record.id),
        **{name: getattr(record, name) for name in _OF_THE_ROW},
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


def tell(log: Any, facts: dict[str, Any], error: ServiceError | None, lost: ServiceError | None) -> None:
    """At the level that it deserves: only what we failed at is an error of ours. `lost`: the row is nowhere."""
    bug = error.__cause__ if isinstance(error, InternalError) else None
    if lost is not None:
        # Not its traceback: what a database says of a row may quote it.
        facts |= {"error": str(lost.__cause__ or lost), "failed_with": error and error.reported_code}
    if lost is not None or bug is not None:
        log.error("chat.finished", **facts, exc_info=bug)
    else:
        log.info("chat.finished", **facts)

"""Log events and their fields. A line has the fields that are listed here: what people and models wrote is in none."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from contextvars import Context
from types import TracebackType
from typing import Any
from uuid import UUID

import structlog

from app.core.errors import InternalError, ServiceError
from app.core.outcomes import Outcome
from app.core.record import NO_MESSAGES, ChatRecord, StoredIn
from app.core.upstream import Attempt
from app.observability.conventions import FAILED, WARNED
from app.observability.log_format import without_messages

_RECORD_FIELDS = (
    "created_at", "route", "client", "client_request_id", "trace_id", "outcome", "error_code", "http_status",
    "requested_model", "model_name", "finish_reason",
    "prompt_tokens", "completion_tokens", "reasoning_tokens", "cached_tokens", "usage_source", "cost_usd",
    "ttft_ms", "duration_ms", "queue_ms", "attempts", "upstream_request_id",
    "upstream_response_id", "client_left_at",
)  # fmt: skip
_DETAIL_FIELDS = (
    "streamed", "upstream_first_chunk_ms", "time_per_output_token_ms", "overhead_ms",
    "longest_silence_ms", "backpressure_ms", "retry_wait_ms", "upstream_queue_ms", "upstream_prompt_ms",
    "upstream_completion_ms", "chunks", "bytes", "hidden_reasoning", "unexpected_fields",
)  # fmt: skip
_WINDOW_S = 1

log = structlog.get_logger(__name__)


def chat_fields(
    record: ChatRecord, attempts: Sequence[Attempt], *, commit_s: float, stored_in: StoredIn | None
) -> dict[str, Any]:
    """The facts of a chat: those of its row, and those that only signals have."""
    limits = attempts[-1].rate_limits if attempts else {}
    return {
        "request_id": str(record.id),
        **{name: getattr(record, name) for name in _RECORD_FIELDS},
        **{name: getattr(record.details, name) for name in _DETAIL_FIELDS},
        "attempt_results": [attempt.result for attempt in attempts],
        "connection_failures": [attempt.cause for attempt in attempts if attempt.cause],
        "commit_ms": round(commit_s * 1000, 3),
        "stored_in": stored_in,
        **{f"ratelimit_remaining_{kind}": limit.remaining for kind, limit in limits.items()},
    }


def refusal_fields(error: ServiceError, *, request_id: UUID, route: str) -> dict[str, Any]:
    """The facts of a request that was refused before a chat began."""
    return {
        "request_id": str(request_id),
        "route": route,
        "outcome": error.outcome,
        "error_code": error.reported_code,
        "http_status": error.status,
        "param": error.param,
    }


def emit_chat(
    record: ChatRecord, fields: Mapping[str, Any], *, error: ServiceError | None, failure: ServiceError | None
) -> None:
    """Emits `chat.finished`, at the level of its outcome. `failure`: its row could not be stored.

    `failed_with` is the error that the chat had ended with before its row could not be stored.
    Where the content of a chat is not stored, a traceback has no messages: they may quote the content.
    """
    private = record.messages == NO_MESSAGES
    bug = error.__cause__ if isinstance(error, InternalError) else None
    if failure is None and bug is None:
        emit_outcome("chat.finished", fields, retried=record.attempts > 1)
        return
    more: dict[str, Any] = {}
    if bug is not None and private:
        more["exception"] = without_messages((type(bug), bug, bug.__traceback__))
    if failure is not None:
        # Without its traceback, as a database's message may quote the row.
        more |= {"error": str(failure.__cause__ or failure), "failed_with": error and error.reported_code}
    log.error("chat.finished", **fields, **more, exc_info=None if private else bug)


def emit_outcome(event: str, fields: Mapping[str, Any], *, retried: bool = False) -> None:
    """Emits a line at the level of its `outcome`; a chat that succeeded after a retry is a warning."""
    outcome = fields["outcome"]
    if outcome in FAILED:
        log.error(event, **fields)
    elif outcome in WARNED or (retried and outcome == Outcome.COMPLETED):
        log.warning(event, **fields)
    else:
        log.info(event, **fields)


class LineLimit:
    """Allows `per_s` lines of one event a second, so that clients without a valid key cannot fill the log.

    After a second with suppressed lines, `log.lines_suppressed` has their number. It needs a running event loop then.
    """

    def __init__(self, event: str, *, per_s: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._event = event
        self._per_s = per_s
        self._clock = clock
        self._window_ends = 0.0
        self._allowed = 0
        self._suppressed = 0

    def allows(self) -> bool:
        """Whether one more line may be written; if not, it is counted."""
        now = self._clock()
        if now >= self._window_ends:
            self._window_ends, self._allowed = now + _WINDOW_S, 0
        if self._allowed < self._per_s:
            self._allowed += 1
            return True
        self._suppressed += 1
        if self._suppressed == 1:
            # In an empty context, so that the line has no trace id of one of the requests.
            asyncio.get_running_loop().call_later(self._window_ends - now, self._report, context=Context())
        return False

    def _report(self) -> None:
        count, self._suppressed = self._suppressed, 0
        log.info("log.lines_suppressed", suppressed_event=self._event, count=count)


class _NeverRaising(AbstractContextManager[Any]):
    """A context in which an exception costs a log line, and never a chat or another signal.

    A class, because each chat enters it eight times: a generator as context manager takes seven times as long.
    """

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> bool:
        if not isinstance(error, Exception):
            return False
        with suppress(Exception):
            log.error("telemetry.failed", exc_info=error)
        return True


never_raising = _NeverRaising()

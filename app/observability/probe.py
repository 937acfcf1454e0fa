"""The narrow door to all signals: facts go in, and whatever becomes of them, nothing comes back."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

import structlog
from opentelemetry.sdk.trace import Tracer

from app.core.attempt import Attempt
from app.core.errors import ServiceError
from app.core.record import NO_MESSAGES, ChatRecord, Kept
from app.observability import lines
from app.observability.commit_span import commit_span
from app.observability.labels import OTHER_MODEL
from app.observability.log_limit import LineLimit
from app.observability.metrics import Metrics
from app.observability.spans import ChatSpans
from app.observability.trace_context import exemplar, ids, traceparent

log = structlog.get_logger("app.services.chat")


@contextmanager
def _unfailing() -> Iterator[None]:
    """A signal that fails costs a line in the log, and never a chat or another signal."""
    try:
        yield
    except Exception:
        with suppress(Exception):
            log.exception("probe.failed")


class Probe:
    """Satisfies `chat.ports.Probe` and those of `db/`. `server` and `database` are as on spans.

    `refused_lines_per_s` limits the lines that callers without a valid key can cause, of each kind.

    `soon` is given what is told of attempts, commits and chats that have ended; it may let that wait.
    """

    def __init__(
        self,
        metrics: Metrics,
        tracer: Tracer,
        *,
        server: Mapping[str, Any],
        database: str,
        refused_lines_per_s: int,
        soon: Callable[[Callable[[], None]], None] = lambda work: work(),
    ) -> None:
        self._chat_refused_lines = LineLimit("chat.refused", per_s=refused_lines_per_s)
        self._key_refused_lines = LineLimit("key.refused", per_s=refused_lines_per_s)
        self._metrics = metrics
        self._tracer = tracer
        self._server = server
        self._database = database
        self._soon = soon

    def chat_began(self, chat_id: UUID, asked: Mapping[str, Any], *, arrived: float, queue_s: float) -> "ChatEvents":
        """A chat was let in. Its span begins here."""
        model, spans = OTHER_MODEL, None
        with _unfailing():
            model = self._metrics.model(str(asked["model"]))
            spans = ChatSpans(
                self._tracer, chat_id, asked, model=model, arrived=arrived, queue_s=queue_s, server=self._server
            )
        return ChatEvents(self._metrics, spans, soon=self._soon)

    def chat_refused(self, error: ServiceError, *, request_id: UUID, route: str, has_key: bool) -> None:
        """A request for a chat that none began for: no row, no span of its own."""
        with _unfailing():
            self._metrics.chat_refused(error.outcome)
        with _unfailing():
            if has_key or self._chat_refused_lines.allows():
                log.info("chat.refused", **lines.of_refusal(error, request_id=request_id, route=route))

    def key_refused(self, error: ServiceError, *, request_id: UUID, route: str) -> None:
        """A request for anything else, without a key that is one."""
        with _unfailing():
            self._metrics.keys_refused.inc()
        with _unfailing():
            if self._key_refused_lines.allows():
                log.info("key.refused", **lines.of_refusal(error, request_id=request_id, route=route))

    def rows_committed(
        self, records: Sequence[ChatRecord], *, began_ns: int, took_s: float, failure: str | None
    ) -> None:
        """One commit, or the attempt at it."""

        def tell() -> None:
            with _unfailing():
                self._metrics.committed(len(records), took_s=took_s, failure=failure)
            with _unfailing():
                parents, ended_ns = [record.traceparent for record in records], began_ns + round(took_s * 1e9)
                commit_span(
                    self._tracer,
                    parents,
                    database=self._database,
                    began_ns=began_ns,
                    ended_ns=ended_ns,
                    failure=failure,
                )

        self._soon(tell)

    def rows_spooled(self, records: Sequence[ChatRecord], *, began_ns: int, failed: bool) -> None:
        """One batch that was written to the disk, or could not be."""
        with _unfailing():
            if failed:
                self._metrics.rows.spool_failures.inc()
        with _unfailing():
            parents = [record.traceparent for record in records]
            failure = "disk" if failed else None
            commit_span(
                self._tracer, parents, database=None, began_ns=began_ns, ended_ns=time.time_ns(), failure=failure
            )

    def row_rejected(self) -> None:
        """The database refused a row for what is in it."""
        with _unfailing():
            self._metrics.rows.rejected.inc()

    def quota_store_failed(self, operation: str) -> None:
        """What a caller asked for or used could not be counted."""
        with _unfailing():
            self._metrics.quota_failures.labels(operation).inc()


class ChatEvents:
    """Satisfies `chat.ports.ChatEvents`. `spans` is None if they could not be made."""

    def __init__(
        self, metrics: Metrics, spans: ChatSpans | None, *, soon: Callable[[Callable[[], None]], None]
    ) -> None:
        self._metrics = metrics
        self._spans = spans
        self._soon = soon
        self._attempts: list[Attempt] = []

    @property
    def traceparent(self) -> str | None:
        return traceparent(self._spans.context) if self._spans else None

    def attempted(self, attempt: Attempt) -> None:
        before = self._attempts[-1] if self._attempts else None
        self._attempts.append(attempt)
        self._soon(lambda: self._tell_of_attempt(attempt, before))

    def finished(
        self,
        record: ChatRecord,
        error: ServiceError | None,
        *,
        commit_s: float,
        kept: Kept | None,
        lost: ServiceError | None = None,
    ) -> None:
        self._soon(lambda: self._tell(record, error, commit_s, kept, lost))

    def _tell_of_attempt(self, attempt: Attempt, before: Attempt | None) -> None:
        with _unfailing():
            self._metrics.attempted(attempt, before=before)

    def _tell(
        self,
        record: ChatRecord,
        error: ServiceError | None,
        commit_s: float,
        kept: Kept | None,
        lost: ServiceError | None,
    ) -> None:
        with _unfailing():
            self._metrics.chat_finished(record, exemplar=exemplar(record.traceparent))
        with _unfailing():
            if self._spans:
                self._spans.end(record, self._attempts, lost or error, commit_s=commit_s, kept=kept)
        with _unfailing():
            facts = lines.of_chat(record, self._attempts, commit_s=commit_s, kept=kept) | ids(record.traceparent)
            lines.tell(log, facts, error, lost, private=record.messages == NO_MESSAGES)

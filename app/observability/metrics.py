"""The metrics of a worker: a registry, and what is counted in it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from app.core.attempt import Attempt
from app.core.outcomes import WITHOUT_ROW, Outcome
from app.core.record import ChatRecord
from app.observability.conventions import OTHER_MODEL, POOL_STATES, TOKEN_TYPES
from app.observability.instruments import ChatMetrics, GroqMetrics, RowMetrics, WorkerMetrics

_MAX_MODELS = 16
"""Each has about a hundred series."""
_LAG_INTERVAL_S = 0.1


class Metrics:
    """`registry` is what a scrape is answered from."""

    def __init__(self, *, models: Iterable[str], info: Mapping[str, str], workers: int) -> None:
        # A second series for every child, which nothing here uses.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._models = set(sorted(models)[:_MAX_MODELS])
        self._knows_model: Callable[[str], bool] = lambda _: False
        labels = (*sorted(self._models), OTHER_MODEL)
        self.chats = ChatMetrics(self.registry, labels)
        self.groq = GroqMetrics(self.registry, labels)
        self.rows = RowMetrics(self.registry)
        self.worker = WorkerMetrics(self.registry, info=dict(info), workers=workers)

    def model(self, name: str) -> str:
        """The label of a model: its id, if it is configured or in Groq's catalogue, and one of the first 16."""
        if name in self._models:
            return name
        if len(self._models) >= _MAX_MODELS or not self._knows_model(name):
            return OTHER_MODEL
        self._models.add(name)
        self.chats.add_model(name)
        self.groq.attempts.add(name)
        return name

    def register_gauges(
        self,
        *,
        active_streams: Callable[[], float],
        body_bytes: Callable[[], float],
        draining: Callable[[], float],
        pool: Mapping[str, Callable[[], float]],
        outbox: Mapping[str, Callable[[], float]],
        missing_models: Callable[[], float],
        knows_model: Callable[[str], bool],
    ) -> None:
        """Sets where gauges get their values at a scrape, and which models exist."""
        self._knows_model = knows_model
        self.groq.missing_models.set_function(missing_models)
        self.chats.active_streams.set_function(active_streams)
        self.chats.body_bytes.set_function(body_bytes)
        self.worker.draining.set_function(draining)
        for state in POOL_STATES:
            self.rows.pool.labels(state).set_function(pool[state])
        for name, value in outbox.items():
            self.rows.outbox[name].set_function(value)

    def chat_refused(self, outcome: Outcome) -> None:
        """A request that no chat began for; its model is unknown."""
        self.chats.requests.labels(OTHER_MODEL, outcome).inc()
        if outcome is Outcome.REJECTED_UNAUTHORIZED:
            self.worker.auth_failures.inc()

    def attempted(self, attempt: Attempt, *, before: Attempt | None) -> None:
        """One request to Groq; `before` is the failed one that it repeats."""
        model = self.model(attempt.model)
        self.groq.attempts.labels(model, attempt.result).inc()
        if before is not None:
            self.groq.retries.labels(before.result).inc()
        for kind, limit in attempt.rate_limits.items():
            self.groq.limit.labels(model, kind).set(limit.limit)
            self.groq.remaining.labels(model, kind).set(limit.remaining)
            self.groq.reset.labels(model, kind).set(limit.reset_s)

    def chat_finished(self, record: ChatRecord, *, exemplar: dict[str, str] | None) -> None:
        """One chat that was admitted, at its end."""
        chats, model, details = self.chats, self.model(record.model_name), record.details
        chats.requests.labels(model, record.outcome).inc(exemplar=exemplar)
        if record.outcome not in WITHOUT_ROW:
            chats.duration.labels(model, record.outcome).observe(record.duration_ms / 1000, exemplar)
        for histogram, milliseconds in (
            (chats.time_to_first_token.labels(model), record.ttft_ms),
            (chats.time_per_output_token.labels(model), details.time_per_output_token_ms),
            (chats.longest_silence.labels(model), details.longest_silence_ms if details.chunks else None),
            (chats.overhead, details.overhead_ms),
            (self.groq.phase.labels("queue"), details.upstream_queue_ms),
            (self.groq.phase.labels("prompt"), details.upstream_prompt_ms),
            (self.groq.phase.labels("completion"), details.upstream_completion_ms),
        ):
            if milliseconds is not None:
                histogram.observe(milliseconds / 1000, exemplar)
        counts = (record.prompt_tokens, record.completion_tokens, record.cached_tokens, record.reasoning_tokens)
        for kind, count in zip(TOKEN_TYPES, counts, strict=True):
            chats.tokens.labels(model, kind).inc(count or 0)
        chats.cost.labels(model).inc(record.cost_usd or 0)
        for name in details.unexpected_fields:
            self.groq.unexpected_fields.labels(name).inc()

    def committed(self, rows: int, *, took_s: float, failure: str | None) -> None:
        """One commit, or an attempt that failed for the reason `failure`."""
        self.rows.commit.observe(took_s)
        if failure is None:
            self.rows.batch.observe(rows)
        else:
            self.rows.failures.labels(failure).inc()

    @asynccontextmanager
    async def observing_loop(self) -> AsyncIterator[None]:
        """Observes how late the event loop wakes up, ten times a second, until this is left."""
        task = asyncio.create_task(self._observe_loop(), name="event loop lag")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _observe_loop(self) -> None:
        while True:
            due = time.monotonic() + _LAG_INTERVAL_S  # uvloop's own clock ticks in milliseconds
            await asyncio.sleep(_LAG_INTERVAL_S)
            self.worker.loop_lag.observe(max(0.0, time.monotonic() - due))

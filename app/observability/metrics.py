"""The metrics of a worker: a registry, and what is counted in it."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from app.core.background import background_task
from app.core.errors import ServiceError
from app.core.outcomes import WITHOUT_ROW, Outcome
from app.core.record import ChatRecord
from app.core.upstream import Attempt, UpstreamError
from app.observability import conventions
from app.observability.instruments import ChatMetrics, ClientMetrics, GroqMetrics, RowMetrics, WorkerMetrics

_MAX_MODELS = 8
"""Models that have a label of their own. Each has about 150 series, and a worker should have fewer than 2,000."""
_MAX_CLIENTS = 32
"""Clients that have a label of their own. Each has nine series."""
_LAG_INTERVAL_S = 0.1


class Metrics:
    """`registry` is what a scrape is answered from."""

    def __init__(
        self,
        *,
        models: Iterable[str],
        info: Mapping[str, str],
        workers: int,
        clients: Iterable[str] = (),
        quotas: Iterable[tuple[str, int]] = (),
    ) -> None:
        # A second series for every child, which nothing here uses.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._models = {*[*dict.fromkeys(models)][:_MAX_MODELS]}
        self._knows_model: Callable[[str], bool] = lambda _: False
        labels = (*sorted(self._models), conventions.OTHER)
        self._clients = {*[*clients][:_MAX_CLIENTS], conventions.ANONYMOUS, conventions.OTHER}
        self.chats = ChatMetrics(self.registry, labels)
        self.groq = GroqMetrics(self.registry, labels)
        self.clients = ClientMetrics(self.registry, sorted(self._clients), quotas)
        self.rows = RowMetrics(self.registry)
        self.worker = WorkerMetrics(self.registry, info=dict(info), workers=workers)

    def model(self, name: str) -> str:
        """The label of a model: its id, if it is configured or in Groq's catalogue, and one of the first eight."""
        if name in self._models:
            return name
        if len(self._models) >= _MAX_MODELS or not self._knows_model(name):
            return conventions.OTHER
        self._models.add(name)
        self.chats.add_model(name)
        self.groq.attempts.add(name)
        return name

    def client(self, name: str | None) -> str:
        """The label of a client: its name, if it is one of the first 32 in `API_KEYS`."""
        name = name or conventions.ANONYMOUS
        return name if name in self._clients else conventions.OTHER

    def register_gauges(
        self,
        *,
        capacity: Mapping[str, Callable[[], float]],
        draining: Callable[[], float],
        pool: Mapping[str, Callable[[], float]],
        outbox: Mapping[str, Callable[[], float]],
        missing_models: Callable[[], float],
        knows_model: Callable[[str], bool],
    ) -> None:
        """Sets where gauges get their values at a scrape, and which models exist."""
        self._knows_model = knows_model
        self.groq.missing_models.set_function(missing_models)
        self.worker.draining.set_function(draining)
        for name, value in capacity.items():
            self.worker.capacity[name].set_function(value)
        for state in ("in_use", "idle"):
            self.rows.pool.labels(state).set_function(pool[state])
        for name, value in outbox.items():
            self.rows.outbox[name].set_function(value)

    def chat_refused(self, outcome: Outcome, *, model: str | None, client: str | None, has_key: bool) -> None:
        """A request that no chat began for. `model` is the requested one, if it is known."""
        # A refused request adds no model: it could take the label of one that is used.
        self.chats.requests.labels(model if model in self._models else conventions.OTHER, outcome).inc()
        if outcome is Outcome.REJECTED_UNAUTHORIZED:
            self.worker.auth_failures.inc()
        elif has_key:
            name = self.client(client)
            self.clients.requests.labels(name).inc()
            self.clients.refusals.labels(name, outcome).inc()

    def attempted(self, attempt: Attempt, *, before: Attempt | None) -> None:
        """One request to Groq; `before` is the failed one that it repeats."""
        model = self.model(attempt.model)
        self.groq.attempts.labels(model, attempt.result).inc()
        if before is not None:
            self.groq.retries.labels(before.result).inc()
        if isinstance(attempt.error, UpstreamError):
            self._count_failure(attempt, attempt.error)
        if attempt.headers_at is None or model == conventions.OTHER:  # which would mix the limits of several models
            return
        answered = time.time() - (time.monotonic() - attempt.headers_at)
        for kind, limit in attempt.rate_limits.items():
            reported = (limit.limit, limit.remaining, answered + limit.reset_s, answered)
            self.groq.set_rate_limit(model, kind, reported)

    def chat_failed(self, error: ServiceError | None, attempts: Sequence[Attempt]) -> None:
        """One chat that has ended; counts a failure of Groq that no attempt followed."""
        if not isinstance(error, UpstreamError) or not attempts:
            return
        if attempts[-1].result == "cancelled":  # by CHAT_TIMEOUT_S
            self._count_failure(attempts[-1], error)
        elif attempts[-1].error is None:
            self.groq.failures.labels(error.code, conventions.MID_STREAM).inc()
        elif error.retryable:
            self.groq.exhausted.labels(error.code).inc()

    def _count_failure(self, attempt: Attempt, error: UpstreamError) -> None:
        phase = conventions.CONNECT if attempt.headers_at is None else conventions.BEFORE_FIRST_TOKEN
        self.groq.failures.labels(error.code, phase).inc()

    def chat_finished(self, record: ChatRecord, *, exemplar: dict[str, str] | None) -> None:
        """One chat that was admitted, at its end. The exemplar goes to the histograms whose panels show exemplars."""
        chats, model, details = self.chats, self.model(record.model_name), record.details
        chats.requests.labels(model, record.outcome).inc()
        if record.outcome not in WITHOUT_ROW:
            outcome = Outcome.COMPLETED if record.outcome is Outcome.COMPLETED else conventions.OTHER
            chats.duration.labels(model, outcome).observe(record.duration_ms / 1000, exemplar)
        for histogram, milliseconds, linked in (
            (chats.time_to_first_token.labels(model), None if details.hidden_reasoning else record.ttft_ms, exemplar),
            (chats.time_per_output_token.labels(model), details.time_per_output_token_ms, exemplar),
            (chats.longest_silence.labels(model), details.longest_silence_ms if details.chunks else None, exemplar),
            (chats.overhead, details.overhead_ms, None),
            (self.groq.phase.labels("queue"), details.upstream_queue_ms, None),
            (self.groq.phase.labels("prompt"), details.upstream_prompt_ms, None),
            (self.groq.phase.labels("completion"), details.upstream_completion_ms, None),
        ):
            if milliseconds is not None:
                histogram.observe(milliseconds / 1000, linked)
        for name in details.unexpected_fields:
            self.groq.unexpected_fields.labels(name).inc()
        self._count_usage(record, model, self.client(record.client))

    def _count_usage(self, record: ChatRecord, model: str, client: str) -> None:
        chats, clients = self.chats, self.clients
        counts = (record.prompt_tokens, record.completion_tokens, record.cached_tokens, record.reasoning_tokens)
        for kind, count in zip(conventions.TOKEN_TYPES, counts, strict=True):
            chats.tokens.labels(model, kind).inc(count or 0)
        for kind, count in zip(conventions.GEN_AI_TOKEN_TYPES, counts, strict=False):
            clients.tokens.labels(client, kind).inc(count or 0)
            if record.usage_source == "upstream":  # OpenTelemetry's conventions forbid estimates
                chats.token_usage.labels(model, *conventions.GEN_AI_LABELS.values(), kind).observe(count or 0)
        if record.cost_usd is None:
            chats.unpriced.labels(model).inc((record.prompt_tokens or 0) + (record.completion_tokens or 0))
        chats.cost.labels(model).inc(record.cost_usd or 0)
        clients.requests.labels(client).inc()
        clients.cost.labels(client).inc(record.cost_usd or 0)

    def committed(self, rows: int, *, took_s: float, failure: str | None) -> None:
        """One commit; `failure` is the reason if it failed."""
        self.rows.commit.observe(took_s)
        if failure is None:
            self.rows.batch.observe(rows)
        else:
            self.rows.failures.labels(failure).inc()

    def observing_loop(self) -> AbstractAsyncContextManager[None]:
        """Observes how late the event loop wakes up, ten times a second, until this is left."""
        return background_task(self._observe_loop(), name="event loop lag")

    async def _observe_loop(self) -> None:
        while True:
            due = time.monotonic() + _LAG_INTERVAL_S  # uvloop's own clock ticks in milliseconds
            await asyncio.sleep(_LAG_INTERVAL_S)
            self.worker.loop_lag.observe(max(0.0, time.monotonic() - due))

"""Every metric of a worker, in a registry of its own: names, labels and buckets have their one place here.

Every child exists from the start, so that `rate()` sees the first error too. (What Groq's rate limits are is only known
once Groq has said so.)
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import product

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from app.core.outcomes import WITHOUT_ROW, Outcome
from app.core.record import ChatRecord
from app.observability.labels import ATTEMPT_RESULTS, OTHER_MODEL, PHASES, POOL_STATES, RETRY_REASONS, TOKEN_TYPES

# In seconds. A threshold of an objective is always a boundary: 1 s for the first token, 20 ms for each of the others.
_TTFT = (0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 20)
_PER_TOKEN = (0.0005, 0.001, 0.002, 0.003, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1)
_WHOLE_CHAT = (0.1, 0.25, 0.5, 1, 1.5, 2.5, 5, 7.5, 10, 15, 20, 30, 45, 60, 120, 300)
_OURS = (0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)
_COMMIT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_ROWS = (1, 2, 5, 10, 20, 50, 100, 200, 500)


class Metrics:
    """The instruments. `registry` is what a scrape is answered from."""

    def __init__(self, *, models: Iterable[str], info: Mapping[str, str], workers: int) -> None:
        # A second series for every child, of which nothing here makes use.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        self._models = frozenset(models)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        Info("app", "The service that runs here.", registry=registry).info(dict(info))
        Gauge("app_workers", "Workers that this machine is meant to run.", registry=registry).set(workers)

        # ── Chats ──────────────────────────────────────────────────────────────────────────────────────────────
        self.requests = Counter(
            "chat_requests", "Requests for a chat, by how they ended.", ["model", "outcome"], registry=registry
        )
        self.active_streams = Gauge("chat_active_streams", "Chats that run.", registry=registry)
        self.draining = Gauge("chat_draining", "1 while the worker finishes its last chats.", registry=registry)
        self.time_to_first_token = Histogram(
            "chat_time_to_first_token_seconds",
            "From the request's last byte to the first token, retries included.",
            ["model"],
            buckets=_TTFT,
            registry=registry,
        )
        self.time_per_output_token = Histogram(
            "chat_time_per_output_token_seconds",
            "(last token - first token) / (tokens - 1), one observation for each chat.",
            ["model"],
            buckets=_PER_TOKEN,
            registry=registry,
        )
        self.duration = Histogram(
            "chat_duration_seconds",
            "Whole chats with a row, until their end was known.",
            ["model", "outcome"],
            buckets=_WHOLE_CHAT,
            registry=registry,
        )
        self.stall = Histogram(
            "chat_stream_stall_seconds",
            "The longest silence of each answer.",
            ["model"],
            buckets=_TTFT,
            registry=registry,
        )
        self.tokens = Counter(
            "chat_tokens",
            "Tokens; cached_input is part of input, reasoning of output.",
            ["model", "type"],
            registry=registry,
        )
        self.cost = Counter("chat_cost_usd", "What Groq charges, by the price list.", ["model"], registry=registry)
        self.overhead = Histogram(
            "chat_overhead_seconds",
            "Our part of the time to first token: all of it but the waits for Groq and for a free place.",
            buckets=_OURS,
            registry=registry,
        )

        # ── Groq ───────────────────────────────────────────────────────────────────────────────────────────────
        self.attempts = Counter(
            "chat_upstream_attempts", "Requests to Groq, by their result.", ["model", "result"], registry=registry
        )
        self.retries = Counter(
            "chat_retries", "Attempts that followed a failed one, by why it failed.", ["reason"], registry=registry
        )
        self.groq_phase = Histogram(
            "groq_phase_seconds", "What Groq says it took.", ["phase"], buckets=_TTFT, registry=registry
        )
        self.limit = Gauge(
            "groq_ratelimit_limit",
            "Groq's limit: requests a day, tokens a minute.",
            ["model", "kind"],
            registry=registry,
        )
        self.remaining = Gauge(
            "groq_ratelimit_remaining", "What Groq last said is left of it.", ["model", "kind"], registry=registry
        )
        self.reset = Gauge(
            "groq_ratelimit_reset_seconds",
            "When it is whole again, as Groq last said.",
            ["model", "kind"],
            registry=registry,
        )

        # ── Rows ───────────────────────────────────────────────────────────────────────────────────────────────
        self.commit = Histogram(
            "chat_log_commit_seconds", "One commit, failed ones included.", buckets=_COMMIT, registry=registry
        )
        self.batch = Histogram("chat_log_batch_rows", "Rows in one commit.", buckets=_ROWS, registry=registry)
        self.spooled = Gauge(
            "chat_log_spooled_rows", "Rows on this machine's disk that wait for the database.", registry=registry
        )
        self.rejected = Counter(
            "chat_log_rejected_rows", "Rows that the database refused for what is in them.", registry=registry
        )
        self.pool = Gauge("db_pool_connections", "Connections to the database.", ["state"], registry=registry)

        # ── The worker ─────────────────────────────────────────────────────────────────────────────────────────
        self.loop_lag = Histogram(
            "event_loop_lag_seconds", "How late the event loop wakes up.", buckets=_OURS, registry=registry
        )
        self.spans_dropped = Counter("otel_spans_dropped", "Spans that never reached the collector.", registry=registry)
        self._create_children()

    def model(self, name: str) -> str:
        """The label of a model."""
        return name if name in self._models else OTHER_MODEL

    def follow(
        self,
        *,
        active_streams: Callable[[], float],
        draining: Callable[[], float],
        pool: Mapping[str, Callable[[], float]],
    ) -> None:
        """Gauges that are asked for when they are scraped, so that they cannot be left behind."""
        self.active_streams.set_function(active_streams)
        self.draining.set_function(draining)
        for state in POOL_STATES:
            self.pool.labels(state).set_function(pool[state])

    def observe(self, record: ChatRecord, *, exemplar: dict[str, str] | None) -> None:
        """One chat that was let in, at its end."""
        model, details = self.model(record.model_name), record.details
        self.requests.labels(model, record.outcome).inc(exemplar=exemplar)
        if record.outcome not in WITHOUT_ROW:
            self.duration.labels(model, record.outcome).observe(record.duration_ms / 1000, exemplar)
        for histogram, milliseconds in (
            (self.time_to_first_token.labels(model), record.ttft_ms),
            (self.time_per_output_token.labels(model), details.time_per_output_token_ms),
            (self.stall.labels(model), details.longest_silence_ms if details.chunks else None),
            (self.overhead, details.overhead_ms),
            (self.groq_phase.labels("queue"), details.groq_queue_ms),
            (self.groq_phase.labels("prompt"), details.groq_prompt_ms),
            (self.groq_phase.labels("completion"), details.groq_completion_ms),
        ):
            if milliseconds is not None:
                histogram.observe(milliseconds / 1000, exemplar)
        counts = (record.prompt_tokens, record.completion_tokens, record.cached_tokens, record.reasoning_tokens)
        for kind, count in zip(TOKEN_TYPES, counts, strict=True):
            self.tokens.labels(model, kind).inc(count or 0)
        self.cost.labels(model).inc(record.cost_usd or 0)

    def _create_children(self) -> None:
        models = (*sorted(self._models), OTHER_MODEL)
        outcomes = tuple(Outcome)
        with_row = [outcome for outcome in outcomes if outcome not in WITHOUT_ROW]
        for instrument, *labels in (
            (self.requests, models, outcomes),
            (self.duration, models, with_row),
            (self.time_to_first_token, models),
            (self.time_per_output_token, models),
            (self.stall, models),
            (self.tokens, models, TOKEN_TYPES),
            (self.cost, models),
            (self.attempts, models, ATTEMPT_RESULTS),
            (self.retries, RETRY_REASONS),
            (self.groq_phase, PHASES),
            (self.pool, POOL_STATES),
        ):
            for values in product(*labels):
                instrument.labels(*values)

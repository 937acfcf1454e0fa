"""Every metric of a worker, by subject: names, labels and buckets have their one place here.

Every child exists from the start, so that `rate()` sees the first error too: but for Groq's rate limits, which are only
known once Groq has said so, and for how long chats took that did not complete.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from app.core.outcomes import Outcome
from app.core.record import ANSWER_FIELDS
from app.observability.labels import (
    ATTEMPT_RESULTS,
    COMMIT_FAILURES,
    PHASES,
    POOL_STATES,
    QUOTA_OPERATIONS,
    RETRY_REASONS,
    TOKEN_TYPES,
)
from app.observability.log_output import log_output

# In seconds. A threshold of an objective is always a boundary: 1 s for the first token, 20 ms for each of the others.
_TTFT = (0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 20)
_PER_TOKEN = (0.0005, 0.001, 0.002, 0.003, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1)
_WHOLE_CHAT = (0.1, 0.25, 0.5, 1, 1.5, 2.5, 5, 7.5, 10, 15, 20, 30, 45, 60, 120, 300)
_OURS = (0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)
_COMMIT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_ROWS = (1, 2, 5, 10, 20, 50, 100, 200, 500)

_Instrument = TypeVar("_Instrument", Counter, Gauge, Histogram)


class Family(Generic[_Instrument]):
    """The children of an instrument, one for every combination of the values that its labels may have.

    The library's own `labels` checks and locks each time, and a chat asks for twenty children.
    """

    def __init__(self, instrument: _Instrument, first: Sequence[str], *others: Sequence[str]) -> None:
        self._instrument: _Instrument = instrument
        self._others = others
        self._children: dict[tuple[str, ...], _Instrument] = {}
        for value in first:
            self.add(value)

    def add(self, value: str) -> None:
        """Makes the children for one more value of the first label."""
        for combination in product((value,), *self._others):
            self._children[combination] = self._instrument.labels(*combination)

    def labels(self, *values: str) -> _Instrument:
        """The child for these values; KeyError for any that no label may have."""
        return self._children[values]


class CounterOf(Collector):
    """A counter that is read when it is scraped."""

    def __init__(self, name: str, documentation: str, count: Callable[[], int], *, registry: CollectorRegistry) -> None:
        self._name = name
        self._documentation = documentation
        self._count = count
        registry.register(self)

    def collect(self) -> Iterable[CounterMetricFamily]:
        return [CounterMetricFamily(self._name, self._documentation, value=self._count())]

    describe = collect


class ChatMetrics:
    """Chats, by how they ended, how fast they were and what they cost."""

    def __init__(self, registry: CollectorRegistry, models: Sequence[str]) -> None:
        def by_model(name: str, told: str, buckets: Sequence[float]) -> Family[Histogram]:
            return Family(Histogram(name, told, ["model"], buckets=buckets, registry=registry), models)

        told = "Requests for a chat, by how they ended."
        requests = Counter("chat_requests", told, ["model", "outcome"], registry=registry)
        self.requests = Family(requests, models, tuple(Outcome))
        self.active_streams = Gauge("chat_active_streams", "Chats that run.", registry=registry)
        told = "Bytes of request bodies in memory, from a body's first byte until its row is durable."
        self.body_bytes = Gauge("chat_request_body_bytes", told, registry=registry)
        told = "From the request's last byte to the first token, retries included."
        self.time_to_first_token = by_model("chat_time_to_first_token_seconds", told, _TTFT)
        told = "(last token - first token) / (tokens - 1), one observation for each chat."
        self.time_per_output_token = by_model("chat_time_per_output_token_seconds", told, _PER_TOKEN)
        self.stall = by_model("chat_stream_stall_seconds", "The longest silence of each answer.", _TTFT)
        told = "Whole chats with a row, until their end was known."
        labels = ["model", "outcome"]
        # With all outcomes it would be two thirds of every scrape: the children of the others are made when first used.
        self.duration = Histogram("chat_duration_seconds", told, labels, buckets=_WHOLE_CHAT, registry=registry)
        told = "Tokens; cached_input is part of input, reasoning of output."
        tokens = Counter("chat_tokens", told, ["model", "type"], registry=registry)
        self.tokens = Family(tokens, models, TOKEN_TYPES)
        cost = Counter("chat_cost_usd", "What Groq charges, by the price list.", ["model"], registry=registry)
        self.cost = Family(cost, models)
        told = "Our part of the time to first token: all of it but the waits for Groq and for a free place."
        self.overhead = Histogram("chat_overhead_seconds", told, buckets=_OURS, registry=registry)
        for model in models:
            self.duration.labels(model, Outcome.COMPLETED)

    def add_model(self, model: str) -> None:
        """Makes the children of one more model."""
        for family in (self.requests, self.tokens, self.cost):
            family.add(model)
        for histograms in (self.time_to_first_token, self.time_per_output_token, self.stall):
            histograms.add(model)
        self.duration.labels(model, Outcome.COMPLETED)


class GroqMetrics:
    """What Groq was asked, what it answered, and what it says of itself."""

    def __init__(self, registry: CollectorRegistry, models: Sequence[str]) -> None:
        told = "Requests to Groq, by their result."
        attempts = Counter("chat_upstream_attempts", told, ["model", "result"], registry=registry)
        self.attempts = Family(attempts, models, ATTEMPT_RESULTS)
        told = "Attempts that followed a failed one, by why it failed."
        self.retries = Family(Counter("chat_retries", told, ["reason"], registry=registry), RETRY_REASONS)
        told = "What Groq says it took."
        phase = Histogram("groq_phase_seconds", told, ["phase"], buckets=_TTFT, registry=registry)
        self.phase = Family(phase, PHASES)

        help_text = "Fields of Groq's answers whose type or range made no sense, so that their facts are unknown."
        fields = Counter("chat_upstream_unexpected_fields", help_text, ["field"], registry=registry)
        self.unexpected_fields = Family(fields, ANSWER_FIELDS)
        help_text = "Models that the settings name and Groq's catalogue lacks."
        self.missing_models = Gauge("groq_models_missing", help_text, registry=registry)

        labels = ["model", "kind"]
        told = "Groq's limit: requests a day, tokens a minute."
        self.limit = Gauge("groq_ratelimit_limit", told, labels, registry=registry)
        told = "What Groq last said is left of it."
        self.remaining = Gauge("groq_ratelimit_remaining", told, labels, registry=registry)
        told = "How long after its last answer it will be whole again, as Groq said."
        self.reset = Gauge("groq_ratelimit_reset_seconds", told, labels, registry=registry)


class RowMetrics:
    """What becomes of the rows."""

    def __init__(self, registry: CollectorRegistry) -> None:
        told = "One commit, failed ones included."
        self.commit = Histogram("chat_log_commit_seconds", told, buckets=_COMMIT, registry=registry)
        told = "Rows in one commit that was made."
        self.batch = Histogram("chat_log_batch_rows", told, buckets=_ROWS, registry=registry)
        told = "Commits that failed, by why."
        failures = Counter("chat_log_commit_failures", told, ["reason"], registry=registry)
        self.failures = Family(failures, COMMIT_FAILURES)
        told = "Rows of this worker on the disk that wait for the database."
        self.spooled = Gauge("chat_log_spooled_rows", told, registry=registry)
        told = "What they take on the disk, and what the rejected ones take."
        self.spool_bytes = Gauge("chat_log_spool_bytes", told, registry=registry)
        told = "What they may take; without room for one more, chats are refused."
        self.spool_limit = Gauge("chat_log_spool_limit_bytes", told, registry=registry)
        told = "How long ago the first of the chats that wait arrived; 0 if none does."
        self.spool_age = Gauge("chat_log_spool_age_seconds", told, registry=registry)
        told = "Batches of rows that the disk did not take."
        self.spool_failures = Counter("chat_log_spool_failures", told, registry=registry)
        told = "Rows that the database refused for what is in them."
        self.rejected = Counter("chat_log_rejected_rows", told, registry=registry)
        pool = Gauge("db_pool_connections", "Connections to the database.", ["state"], registry=registry)
        self.pool = Family(pool, POOL_STATES)


def quota_failures(registry: CollectorRegistry) -> Family[Counter]:
    """What quotas could not count."""
    told = "What Redis could not be asked or told about callers' quotas."
    counter = Counter("quota_store_failures", told, ["operation"], registry=registry)
    return Family(counter, QUOTA_OPERATIONS)


def keys_refused(registry: CollectorRegistry) -> Counter:
    """Who asked without a key that is one."""
    told = "Requests without a key of this service or with a wrong one, for chats and for anything else."
    return Counter("keys_refused", told, registry=registry)


class WorkerMetrics:
    """The worker itself, and what watches it."""

    def __init__(self, registry: CollectorRegistry, *, info: dict[str, str], workers: int) -> None:
        Info("app", "The service that runs here.", registry=registry).info(info)
        Gauge("app_workers", "Workers that this machine is meant to run.", registry=registry).set(workers)
        told = "1 while the worker finishes its last chats."
        self.draining = Gauge("chat_draining", told, registry=registry)
        told = "How late the event loop wakes up."
        self.loop_lag = Histogram("event_loop_lag_seconds", told, buckets=_OURS, registry=registry)
        told = "Spans that never reached the collector."
        self.spans_dropped = Counter("otel_spans_dropped", told, registry=registry)
        documentation = "Log lines of this worker that were not written: the queue was full, or stdout refused them."
        CounterOf("log_lines_dropped", documentation, lambda: log_output.dropped, registry=registry)

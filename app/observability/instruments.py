"""Every metric of a worker, by subject: name, help, labels and buckets.

Children exist from the start, so that `rate()` sees the first error too. Exceptions are Groq's rate limits, which are
unknown before Groq's first answer, and the duration of chats that did not complete.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from app.core.outcomes import Outcome
from app.core.record import ANSWER_FIELDS
from app.observability import conventions
from app.observability.log_output import log_output

# In seconds. The threshold of an objective is always a bucket: 1 s to the first token, 20 ms per output token.
_TTFT = (0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 20)
_PER_TOKEN = (0.0005, 0.001, 0.002, 0.003, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1)
_WHOLE_CHAT = (0.1, 0.25, 0.5, 1, 1.5, 2.5, 5, 7.5, 10, 15, 20, 30, 45, 60, 120, 300)
_OVERHEAD = (0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)
_COMMIT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_ROWS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
_OUTBOX_GAUGES = (
    ("rows", "rows", "Number of rows in the outbox of this machine that wait for the database."),
    ("rejected_rows", "rejected_rows", "Number of rows in the outbox of this machine that the database refused."),
    ("bytes", "bytes", "Bytes used by the outbox of this machine, including rejected rows."),
    ("limit_bytes", "limit_bytes", "Bytes that the outbox of this machine may use; chats are refused beyond them."),
    ("age_s", "age_seconds", "Seconds since the oldest chat in the outbox of this machine arrived; 0 if it is empty."),
    ("damaged_files", "damaged_files", "Number of damaged outbox files of this machine, which were renamed."),
)
"""All workers of a machine report the same file: take the maximum over them, not the sum."""

_Instrument = TypeVar("_Instrument", Counter, Gauge, Histogram)


class LabelledMetric(Generic[_Instrument]):
    """The children of an instrument, one for each combination of the values that its labels may have.

    The library's own `labels` validates and locks each time, and a chat looks up twenty children.
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
        """The child for these values; raises KeyError for any that no label may have."""
        return self._children[values]


class CallbackCounter(Collector):
    """A counter whose value is read at a scrape."""

    def __init__(self, name: str, documentation: str, value: Callable[[], int], *, registry: CollectorRegistry) -> None:
        self._name = name
        self._documentation = documentation
        self._value = value
        registry.register(self)

    def collect(self) -> Iterable[CounterMetricFamily]:
        return [CounterMetricFamily(self._name, self._documentation, value=self._value())]

    describe = collect


class ChatMetrics:
    """Chats: how they ended, how fast they were and what they cost."""

    def __init__(self, registry: CollectorRegistry, models: Sequence[str]) -> None:
        def by_model(name: str, text: str, buckets: Sequence[float]) -> LabelledMetric[Histogram]:
            return LabelledMetric(Histogram(name, text, ["model"], buckets=buckets, registry=registry), models)

        text = "Number of requests for a chat, by outcome."
        requests = Counter("chat_requests", text, ["model", "outcome"], registry=registry)
        self.requests = LabelledMetric(requests, models, tuple(Outcome))
        self.active_streams = Gauge("chat_active_streams", "Number of running chats.", registry=registry)
        text = "Bytes of request bodies in memory, from a body's first byte until its row is durable."
        self.body_bytes = Gauge("chat_request_body_bytes", text, registry=registry)
        text = "Seconds from the last byte of the request to the first token, retries included."
        self.time_to_first_token = by_model("chat_time_to_first_token_seconds", text, _TTFT)
        text = "Seconds per output token after the first one, averaged over each chat."
        self.time_per_output_token = by_model("chat_time_per_output_token_seconds", text, _PER_TOKEN)
        text = "Seconds of the longest silence of Groq within each answer."
        self.longest_silence = by_model("chat_stream_stall_seconds", text, _TTFT)
        text = "Seconds from the last byte of the request to the end of a chat that has a row, without its commit."
        labels = ["model", "outcome"]
        # With all outcomes it would be two thirds of every scrape: children of the others are made at their first use.
        self.duration = Histogram("chat_duration_seconds", text, labels, buckets=_WHOLE_CHAT, registry=registry)
        text = "Number of tokens; cached_input is a part of input, reasoning a part of output."
        tokens = Counter("chat_tokens", text, ["model", "type"], registry=registry)
        self.tokens = LabelledMetric(tokens, models, conventions.TOKEN_TYPES)
        text = "US dollars that Groq charges according to the price list."
        self.cost = LabelledMetric(Counter("chat_cost_usd", text, ["model"], registry=registry), models)
        text = "Seconds of the time to first token without the waits for Groq and for admission."
        self.overhead = Histogram("chat_overhead_seconds", text, buckets=_OVERHEAD, registry=registry)
        for model in models:
            self.duration.labels(model, Outcome.COMPLETED)

    def add_model(self, model: str) -> None:
        """Makes the children of one more model."""
        for counters in (self.requests, self.tokens, self.cost):
            counters.add(model)
        for histograms in (self.time_to_first_token, self.time_per_output_token, self.longest_silence):
            histograms.add(model)
        self.duration.labels(model, Outcome.COMPLETED)


class GroqMetrics:
    """Requests to Groq, its answers, and the limits that it reports."""

    def __init__(self, registry: CollectorRegistry, models: Sequence[str]) -> None:
        text = "Number of requests to Groq, by result."
        attempts = Counter("chat_upstream_attempts", text, ["model", "result"], registry=registry)
        self.attempts = LabelledMetric(attempts, models, conventions.ATTEMPT_RESULTS)
        text = "Number of requests to Groq that repeat a failed one, by the reason of its failure."
        self.retries = LabelledMetric(
            Counter("chat_retries", text, ["reason"], registry=registry), conventions.RETRY_REASONS
        )
        text = "Seconds of each phase of a chat, as Groq reports them."
        phase = Histogram("groq_phase_seconds", text, ["phase"], buckets=_TTFT, registry=registry)
        self.phase = LabelledMetric(phase, conventions.GROQ_PHASES)
        text = "Number of fields in Groq's answers with an unexpected type or range, whose facts are unknown."
        fields = Counter("chat_upstream_unexpected_fields", text, ["field"], registry=registry)
        self.unexpected_fields = LabelledMetric(fields, ANSWER_FIELDS)
        text = "Number of models that the settings name and Groq's catalogue lacks."
        self.missing_models = Gauge("groq_models_missing", text, registry=registry)
        labels = ["model", "kind"]
        text = "Groq's limit of requests per day and of tokens per minute."
        self.limit = Gauge("groq_ratelimit_limit", text, labels, registry=registry)
        text = "Remaining requests and tokens of Groq's limit, as its last answer reported."
        self.remaining = Gauge("groq_ratelimit_remaining", text, labels, registry=registry)
        text = "Seconds from Groq's last answer until its limit is fully available again."
        self.reset = Gauge("groq_ratelimit_reset_seconds", text, labels, registry=registry)


class RowMetrics:
    """What becomes of the rows."""

    def __init__(self, registry: CollectorRegistry) -> None:
        text = "Seconds of one commit to the database, failed ones included."
        self.commit = Histogram("chat_log_commit_seconds", text, buckets=_COMMIT, registry=registry)
        text = "Number of rows in one successful commit."
        self.batch = Histogram("chat_log_batch_rows", text, buckets=_ROWS, registry=registry)
        text = "Number of failed commits, by reason."
        failures = Counter("chat_log_commit_failures", text, ["reason"], registry=registry)
        self.failures = LabelledMetric(failures, conventions.COMMIT_FAILURES)
        self.outbox = {
            key: Gauge(f"chat_log_outbox_{name}", text, registry=registry) for key, name, text in _OUTBOX_GAUGES
        }
        text = "Number of batches of rows that could not be written to the outbox."
        self.outbox_failures = Counter("chat_log_outbox_failures", text, registry=registry)
        text = "Number of rows that the database rejected because of their content."
        self.rejected = Counter("chat_log_rejected_rows", text, registry=registry)
        pool = Gauge(
            "db_pool_connections", "Number of connections to the database, by state.", ["state"], registry=registry
        )
        self.pool = LabelledMetric(pool, conventions.POOL_STATES)


class WorkerMetrics:
    """The worker itself: its quotas and keys, and what was lost of its signals."""

    def __init__(self, registry: CollectorRegistry, *, info: dict[str, str], workers: int) -> None:
        Info("app", "Version and environment of the service.", registry=registry).info(info)
        Gauge("app_workers", "Number of workers that this machine should run.", registry=registry).set(workers)
        text = "1 while the worker finishes its last chats, otherwise 0."
        self.draining = Gauge("chat_draining", text, registry=registry)
        text = "Seconds by which the event loop wakes up late."
        self.loop_lag = Histogram("event_loop_lag_seconds", text, buckets=_OVERHEAD, registry=registry)
        text = "Number of operations on quotas that Redis failed to execute."
        quota = Counter("quota_store_failures", text, ["operation"], registry=registry)
        self.quota_failures = LabelledMetric(quota, conventions.QUOTA_OPERATIONS)
        text = "Number of requests without a valid API key, for chats and for anything else."
        self.auth_failures = Counter("auth_failures", text, registry=registry)
        text = "Number of spans that were not exported."
        self.spans_dropped = Counter("otel_spans_dropped", text, registry=registry)
        text = "Number of log lines that were not written, because the queue was full or stdout refused them."
        CallbackCounter("log_lines_dropped", text, lambda: log_output().dropped, registry=registry)

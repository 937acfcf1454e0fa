"""Every metric of a worker, by subject: name, help, labels and buckets.

Children exist from the start, so that `rate()` sees the first error too. The exception is Groq's rate limits, which are
unknown before Groq's first answer.
"""

from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from app.core.outcomes import Outcome
from app.core.record import ANSWER_FIELDS
from app.observability import buckets, conventions
from app.observability.labelled import CallbackCounter, LabelledMetric
from app.observability.log_output import log_output

_OUTBOX_GAUGES = (
    ("rows", "rows", "Number of rows in the outbox of this machine that wait for the database."),
    ("rejected_rows", "rejected_rows", "Number of rows in the outbox of this machine that the database rejected."),
    ("bytes", "bytes", "Bytes used by the outbox of this machine, including rejected rows."),
    ("limit_bytes", "limit_bytes", "Bytes that the outbox of this machine may use; chats are refused beyond them."),
    ("age_s", "age_seconds", "Seconds since the oldest chat in the outbox of this machine arrived; 0 if it is empty."),
    ("damaged_files", "damaged_files", "Number of damaged outbox files of this machine, which were renamed."),
)
"""All workers of a machine report the same file: take the maximum over them, not the sum."""
_RATE_LIMIT_GAUGES = (
    ("limit", "Groq's limit of requests per day and of tokens per minute."),
    ("remaining", "Remaining requests and tokens of Groq's limit, as its last answer reported."),
    ("reset_timestamp_seconds", "Unix time at which Groq's limit is fully available again, by its last answer."),
    ("updated_timestamp_seconds", "Unix time of the answer of Groq that reported the limit."),
)
_CAPACITY_GAUGES = (
    ("chat_ready", "1 if the rows of new chats can be stored, otherwise 0."),
    ("chat_active_streams", "Number of running chats."),
    ("chat_active_streams_limit", "Number of chats that the worker may run at the same time."),
    ("chat_queued", "Number of chats that wait until a running one ends."),
    ("chat_queue_limit", "Number of chats that may wait until a running one ends; further ones are refused."),
    ("chat_request_body_bytes", "Bytes of request bodies in memory, from the first byte until the row is durable."),
    ("chat_request_body_limit_bytes", "Bytes of request bodies that the worker may hold in memory."),
    ("db_pool_size", "Number of connections to the database that the worker may open."),
)


class ChatMetrics:
    """Chats: how they ended, how fast they were and what they cost."""

    def __init__(self, registry: CollectorRegistry, models: Sequence[str]) -> None:
        def by_model(name: str, text: str, bounds: Sequence[float]) -> LabelledMetric[Histogram]:
            return LabelledMetric(Histogram(name, text, ["model"], buckets=bounds, registry=registry), models)

        text = "Number of requests for a chat, by outcome."
        requests = Counter("chat_requests", text, ["model", "outcome"], registry=registry)
        self.requests = LabelledMetric(requests, models, tuple(Outcome))
        text = "Seconds from the last byte of the request to the first token, retries included."
        self.time_to_first_token = by_model("chat_time_to_first_token_seconds", text, buckets.TTFT)
        text = "Seconds per output token after the first one, averaged over each chat."
        self.time_per_output_token = by_model("chat_time_per_output_token_seconds", text, buckets.PER_TOKEN)
        text = "Seconds of the longest silence of Groq within each answer."
        self.longest_silence = by_model("chat_longest_silence_seconds", text, buckets.STALL)
        text = "Seconds from the last byte of the request to the end of a chat that has a row, without its commit."
        labels = ["model", "outcome"]
        duration = Histogram("chat_duration_seconds", text, labels, buckets=buckets.WHOLE_CHAT, registry=registry)
        # With all outcomes it would be two thirds of every scrape.
        self.duration = LabelledMetric(duration, models, (Outcome.COMPLETED, conventions.OTHER))
        text = "Number of tokens; cached_input is a part of input, reasoning a part of output."
        tokens = Counter("chat_tokens", text, ["model", "type"], registry=registry)
        self.tokens = LabelledMetric(tokens, models, conventions.TOKEN_TYPES)
        text = "US dollars that Groq charges according to the price list."
        self.cost = LabelledMetric(Counter("chat_cost_usd", text, ["model"], registry=registry), models)
        text = "Seconds of the time to first token without the waits for Groq and for admission."
        self.overhead = Histogram("chat_overhead_seconds", text, buckets=buckets.OVERHEAD, registry=registry)
        text = "Number of input and output tokens of chats whose model has no price."
        self.unpriced = LabelledMetric(Counter("chat_unpriced_tokens", text, ["model"], registry=registry), models)
        text = "Number of input and output tokens of each chat, as Groq counted them."
        labels = ["gen_ai_request_model", *conventions.GEN_AI_LABELS, "gen_ai_token_type"]
        usage = Histogram("gen_ai_client_token_usage", text, labels, buckets=buckets.TOKENS, registry=registry)
        constants = [(value,) for value in conventions.GEN_AI_LABELS.values()]
        self.token_usage = LabelledMetric(usage, models, *constants, conventions.GEN_AI_TOKEN_TYPES)

    def add_model(self, model: str) -> None:
        """Makes the children of one more model."""
        for counters in (self.requests, self.tokens, self.cost, self.unpriced):
            counters.add(model)
        for histograms in (
            self.time_to_first_token, self.time_per_output_token, self.longest_silence, self.duration, self.token_usage,
        ):  # fmt: skip
            histograms.add(model)


class ClientMetrics:
    """Who uses the service, by the name of the API key."""

    def __init__(self, registry: CollectorRegistry, clients: Sequence[str], quotas: Iterable[tuple[str, int]]) -> None:
        text = "Number of requests for a chat with a valid key, refused ones included."
        requests = Counter("chat_client_requests", text, ["client"], registry=registry)
        self.requests = LabelledMetric(requests, clients)
        text = "Number of requests for a chat with a valid key that were refused before a chat began, by outcome."
        refusals = Counter("chat_client_refusals", text, ["client", "outcome"], registry=registry)
        self.refusals = LabelledMetric(refusals, clients, conventions.CLIENT_REFUSALS)
        text = "Number of tokens of a client; estimated if Groq reported no usage."
        tokens = Counter("chat_client_tokens", text, ["client", "type"], registry=registry)
        self.tokens = LabelledMetric(tokens, clients, conventions.GEN_AI_TOKEN_TYPES)
        text = "US dollars that Groq charges for a client according to the price list."
        self.cost = LabelledMetric(Counter("chat_client_cost_usd", text, ["client"], registry=registry), clients)
        text = "Requests and tokens per minute, and running chats (streams), that each client may have."
        quota = Gauge("chat_quota_limit", text, ["kind"], registry=registry)
        for kind, limit in quotas:
            quota.labels(kind).set(limit)


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
        text = "Number of chats that failed after their last allowed attempt, by the reason of its failure."
        exhausted = Counter("chat_retries_exhausted", text, ["reason"], registry=registry)
        self.exhausted = LabelledMetric(exhausted, conventions.RETRY_REASONS)
        text = "Number of failed requests to Groq, by error code and by the phase in which they failed."
        failures = Counter("chat_upstream_failures", text, ["error_code", "phase"], registry=registry)
        self.failures = LabelledMetric(failures, conventions.UPSTREAM_CODES, conventions.FAILURE_PHASES)
        text = "Seconds of each phase of a chat, as Groq reports them."
        phase = Histogram("groq_phase_seconds", text, ["phase"], buckets=buckets.TTFT, registry=registry)
        self.phase = LabelledMetric(phase, conventions.GROQ_PHASES)
        text = "Number of fields in Groq's answers with an unexpected type or range, whose facts are unknown."
        fields = Counter("chat_upstream_unexpected_fields", text, ["field"], registry=registry)
        self.unexpected_fields = LabelledMetric(fields, ANSWER_FIELDS)
        text = "Number of models that the settings name and Groq's catalogue lacks."
        self.missing_models = Gauge("groq_models_missing", text, registry=registry)
        self._rate_limits = [
            Gauge(f"groq_ratelimit_{name}", text, ["model", "kind"], registry=registry)
            for name, text in _RATE_LIMIT_GAUGES
        ]
        self._rate_limit_children: dict[tuple[str, str], list[Gauge]] = {}

    def rate_limit(self, model: str, kind: str) -> Sequence[Gauge]:
        """The gauges of one limit in the order of `_RATE_LIMIT_GAUGES`. They have no values before Groq's answer."""
        key = (model, kind)
        if key not in self._rate_limit_children:
            self._rate_limit_children[key] = [gauge.labels(*key) for gauge in self._rate_limits]
        return self._rate_limit_children[key]


class RowMetrics:
    """What becomes of the rows."""

    def __init__(self, registry: CollectorRegistry) -> None:
        text = "Seconds of one commit to the database, failed ones included."
        self.commit = Histogram("chat_log_commit_seconds", text, buckets=buckets.COMMIT, registry=registry)
        text = "Number of rows in one successful commit."
        self.batch = Histogram("chat_log_batch_rows", text, buckets=buckets.ROWS, registry=registry)
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
    """The worker itself: its capacity, quotas and keys, and the spans and log lines that it lost."""

    def __init__(self, registry: CollectorRegistry, *, info: dict[str, str], workers: int) -> None:
        Info("app", "Version and environment of the service.", registry=registry).info(info)
        Gauge("app_workers", "Number of workers that this machine should run.", registry=registry).set(workers)
        self.capacity = {name: Gauge(name, text, registry=registry) for name, text in _CAPACITY_GAUGES}
        text = "1 while the worker finishes its last chats, otherwise 0."
        self.draining = Gauge("chat_draining", text, registry=registry)
        text = "Seconds by which the event loop wakes up late."
        self.loop_lag = Histogram("event_loop_lag_seconds", text, buckets=buckets.OVERHEAD, registry=registry)
        text = "Number of operations on quotas that Redis failed to execute."
        quota = Counter("quota_store_failures", text, ["operation"], registry=registry)
        self.quota_failures = LabelledMetric(quota, conventions.QUOTA_OPERATIONS)
        text = "Number of requests without a valid API key, for chats and for anything else."
        self.auth_failures = Counter("auth_failures", text, registry=registry)
        text = "Number of spans that were not exported."
        self.spans_dropped = Counter("otel_spans_dropped", text, registry=registry)
        text = "Number of log lines that were not written, because the queue was full or writing them failed."
        CallbackCounter("log_lines_dropped", text, lambda: log_output().dropped, registry=registry)

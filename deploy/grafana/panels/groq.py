"""Groq: results of attempts, retries, rate limits, and latency of Groq and of the service."""

from builders.dashboard import dashboard, label_variable, line, row
from builders.outcome import PHASE_COLOURS, RESULT_COLOURS
from builders.panel import heatmap, percentiles, stat, thresholds, timeseries
from builders.query import Json, percentile, promql, promql_heatmap, promql_now

from panels.groq_limits import HEADROOM, MODEL, STALE, rate_limits

ATTEMPTS = "chat_upstream_attempts_total"
STALL = "chat_longest_silence_seconds"
OVERHEAD = "chat_overhead_seconds"
PHASE = "groq_phase_seconds"
TO_FIRST = "chat_time_to_first_token_seconds"
REFUSED = '=~"rate_limit_exceeded|upstream_refused_key"'
FAILURES = "chat_upstream_failures_total"
OF_GROQ = f'{FAILURES}{{error_code!="upstream_rejected"}}'


def share(title: str, description: str, part: str, whole: str, levels: Json) -> Json:
    expr = f"sum(increase({part}[$__range])) / sum(increase({whole}[$__range]))"
    return stat(title, description, promql_now(expr), unit="percentunit", decimals=1, levels=levels)


def attempts(result: str) -> str:
    return f'{ATTEMPTS}{{model=~"$model", result{result}}}'


health = row(
    "Groq health",
    line(
        4,
        share(
            "Attempt success rate",
            "Successful attempts, without those that the service cancelled. *Attempts by result* has the errors.",
            attempts('="ok"'),
            attempts('!~"cancelled|internal_error"'),
            thresholds("red", (0.95, "orange"), (0.99, "green")),
        ),
        share(
            "Rate-limited attempts",
            "Share of attempts that Groq answered with 429. Spread the load over models, or request higher limits.",
            attempts('="rate_limit_exceeded"'),
            attempts('!=""'),
            thresholds("green", (0.01, "orange"), (0.05, "red")),
        ),
        share(
            "Share of retries",
            "Retries / attempts, of all models. Retries hide failures and add latency.",
            "chat_retries_total",
            ATTEMPTS,
            thresholds("green", (0.02, "orange"), (0.1, "red")),
        ),
        stat(
            "Lowest headroom",
            "Remaining share of the rate limit nearest to exhaustion. Below 10 %, reduce the load until it resets.",
            promql_now(f"min({HEADROOM})"),
            unit="percentunit",
            decimals=0,
            levels=thresholds("red", (0.1, "orange"), (0.25, "green")),
            may_be_empty=STALE,
        ),
        stat(
            "Rejected API key by machine",
            "Attempts that Groq answered with 401 or 403, in this time range. Set a valid GROQ_API_KEY.",
            promql_now(f'sum by (host) (increase({ATTEMPTS}{{result="upstream_refused_key"}}[$__range]))', "{{host}}"),
            unit="short",
            decimals=0,
            levels=thresholds("green", (0.5, "red")),
        ),
        share(
            "Service overhead",
            """Share of the time to first token that the service adds. Above 5 %, see the event loop lag on the Workers
            page.""",
            f"{OVERHEAD}_sum",
            f"{TO_FIRST}_sum",
            thresholds("green", (0.05, "orange"), (0.2, "red")),
        ),
    ),
)

attempts_row = row(
    "Attempts",
    line(
        8,
        timeseries(
            "Attempts by result",
            """Requests to Groq. `cancelled`: the client disconnected, or CHAT_TIMEOUT_S was reached. If orange and red
            increase, check Groq's status page.""",
            promql(f"sum by (result) (rate({ATTEMPTS}{MODEL}[$__rate_interval]))", "{{result}}"),
            unit="reqps",
            stacked=True,
            colours=RESULT_COLOURS,
            legend="table",
            width=12,
        ),
        timeseries(
            "Failures by phase",
            """connect: no response headers. before_first_token: the service retries. mid_stream: the client sees it.
            Without requests that Groq rejected because of their content.""",
            promql(f"sum by (phase) (rate({OF_GROQ}[$__rate_interval]))", "{{phase}}"),
            unit="reqps",
            stacked=True,
            colours=PHASE_COLOURS,
            width=12,
        ),
    ),
    line(
        8,
        timeseries(
            "Failures after the first token",
            """By error code. upstream_rejected: Groq refused what the model wrote, such as an invalid tool call. The
            others are interruptions of Groq or of the network.""",
            promql(f'sum by (error_code) (rate({FAILURES}{{phase="mid_stream"}}[$__rate_interval]))', "{{error_code}}"),
            unit="reqps",
            stacked=True,
            colours=RESULT_COLOURS,
        ),
        timeseries(
            "Retries by reason",
            "Attempts after a failed attempt. A peak is a short failure; a lasting level is an outage.",
            promql("sum by (reason) (rate(chat_retries_total[$__rate_interval]))", "{{reason}}"),
            unit="reqps",
            stacked=True,
            colours=RESULT_COLOURS,
        ),
        timeseries(
            "Chats with exhausted retries",
            "Chats that failed after their last allowed attempt, by the reason of its failure.",
            promql("sum by (reason) (rate(chat_retries_exhausted_total[$__rate_interval]))", "{{reason}}"),
            unit="reqps",
            stacked=True,
            colours=RESULT_COLOURS,
        ),
        timeseries(
            "Rate limits and rejected keys",
            "Attempts that Groq answered with 429 (rate limit), 401 or 403 (API key).",
            promql(
                f"sum by (result) (rate({attempts(REFUSED)}[$__rate_interval]))",
                "{{result}}",
            ),
            unit="reqps",
            colours=RESULT_COLOURS,
        ),
    ),
)

latency = row(
    "Latency",
    line(
        9,
        timeseries(
            "Groq phases and service overhead",
            """Phases as Groq reports them, and the time that the service adds before the first token. On the
            logarithmic scale, the overhead should be at least a decade below Groq's phases.""",
            promql(percentile(0.5, PHASE, by="phase"), "Groq {{phase}} p50"),
            promql(percentile(0.95, PHASE, by="phase"), "Groq {{phase}} p95"),
            promql(percentile(0.5, OVERHEAD), "overhead p50"),
            promql(percentile(0.95, OVERHEAD), "overhead p95"),
            promql(percentile(0.99, OVERHEAD), "overhead p99"),
            unit="s",
            logarithmic=True,
            colours={"overhead p50": "light-purple", "overhead p95": "purple", "overhead p99": "dark-purple"},
            legend="table",
            width=14,
        ),
        percentiles(
            "Chat duration",
            """Completed chats, from the request to the end of the answer. It depends on the length of answers: compare
            with *Token throughput* on the Overview.""",
            "chat_duration_seconds",
            '{model=~"$model", outcome="completed"}',
        ),
    ),
    line(
        8,
        percentiles(
            "Longest stall per chat",
            "Longest time between two chunks of a stream. Above INTER_TOKEN_TIMEOUT_S the service ends the chat.",
            STALL,
            MODEL,
        ),
        heatmap(
            "Longest stall distribution",
            "A separate band with high values indicates streams that Groq interrupts and resumes.",
            promql_heatmap(f"sum by (le) (increase({STALL}_bucket{MODEL}[$__rate_interval]))"),
            unit="s",
        ),
    ),
)

DASHBOARD = dashboard(
    "Groq",
    "Results of attempts, retries, rate limits, and latency of Groq and of the service.",
    health,
    attempts_row,
    rate_limits,
    latency,
    variables=[label_variable("model", "Model", "chat_requests_total")],
)

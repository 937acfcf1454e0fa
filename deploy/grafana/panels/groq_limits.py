"""Groq's rate limits: what is left of them, and when they reset."""

from builders.dashboard import line, row
from builders.panel import override, table, thresholds, timeseries
from builders.query import Json, promql, promql_now

MODEL = '{model=~"$model"}'
# The value of a worker that Groq has not answered for two minutes is stale, and so is one whose limit was reset since.
FRESH = "time() - groq_ratelimit_updated_timestamp_seconds < 120 and groq_ratelimit_reset_timestamp_seconds > time()"
HEADROOM = f"groq_ratelimit_remaining{MODEL} / groq_ratelimit_limit and {FRESH}"
RESET_IN = f"clamp_min(max by (model, kind) (groq_ratelimit_reset_timestamp_seconds{MODEL}) - time(), 0)"
STALE = "No answer of Groq in the last two minutes."


def limits() -> Json:
    names = {"Value #A": "limit", "Value #B": "remaining", "Value #C": "resets in", "Value #D": "age"}
    order = {name: place for place, name in enumerate(("model", "kind", *names))}
    shown = {"excludeByName": {"Time": True}, "indexByName": order, "renameByName": names}
    return table(
        "Rate limits by model",
        """From Groq's latest response headers; the lowest value of all workers. Groq limits requests per day and tokens
        per minute. A grey line is stale: its age is the time since Groq's latest response.""",
        promql_now(f"min by (model, kind) (groq_ratelimit_limit{MODEL})", table=True),
        promql_now(f"min by (model, kind) (groq_ratelimit_remaining{MODEL})", table=True),
        promql_now(RESET_IN, table=True),
        promql_now(f"time() - max by (model, kind) (groq_ratelimit_updated_timestamp_seconds{MODEL})", table=True),
        transformations=[{"id": "merge", "options": {}}, {"id": "organize", "options": shown}],
        columns=[
            override("limit", unit="short"),
            override("remaining", unit="short"),
            override("resets in", unit="s", decimals=0),
            override(
                "age",
                unit="s",
                decimals=0,
                thresholds=thresholds("transparent", (120, "#8080804d")),
                custom__cellOptions={"type": "color-background", "mode": "basic", "applyToRow": True},
            ),
        ],
    )


rate_limits = row(
    "Rate limits",
    line(
        7,
        timeseries(
            "Rate-limit headroom",
            """Remaining share of each rate limit; at 0 Groq answers with 429. A line ends two minutes after Groq's
            latest response.""",
            promql(f"min by (model, kind) ({HEADROOM})", "{{model}} {{kind}}"),
            unit="percentunit",
            limit=0.1,
            max=1,
            may_be_empty=STALE,
        ),
        timeseries(
            "Time until rate-limit reset",
            "Time left until each limit is fully available again: seconds for tokens, up to a day for requests.",
            promql(RESET_IN, "{{model}} {{kind}}"),
            unit="s",
        ),
        limits(),
    ),
)

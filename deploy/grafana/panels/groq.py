"""How Groq does: what attempts come to, what is left of its limits, and its time told from ours."""

from builders.dashboard import dashboard, label_variable, line, row
from builders.outcome import RESULT_COLOURS
from builders.panel import heatmap, override, percentiles, stat, table, thresholds, timeseries
from builders.query import Json, percentile, promql, promql_heatmap, promql_now

MODEL = '{model=~"$model"}'
ATTEMPTS = "chat_upstream_attempts_total"
STALL = "chat_stream_stall_seconds"
OVERHEAD = "chat_overhead_seconds"
PHASE = "groq_phase_seconds"
TO_FIRST = "chat_time_to_first_token_seconds"
REFUSED = '=~"rate_limit_exceeded|upstream_refused_key"'
HEADROOM = f"groq_ratelimit_remaining{MODEL} / groq_ratelimit_limit"


def share(title: str, description: str, part: str, whole: str, levels: Json) -> Json:
    expr = f"sum(increase({part}[$__range])) / sum(increase({whole}[$__range]))"
    return stat(title, description, promql_now(expr), unit="percentunit", decimals=1, levels=levels)


def attempts(result: str) -> str:
    return f'{ATTEMPTS}{{model=~"$model", result{result}}}'


def limits() -> Json:
    names = {"Value #A": "limit", "Value #B": "left", "Value #C": "whole again in"}
    order = {name: place for place, name in enumerate(("model", "kind", *names))}
    shown = {"excludeByName": {"Time": True}, "indexByName": order, "renameByName": names}
    return table(
        "Limits",
        """As Groq last said; of all workers, the one that heard the least. Requests count by the day, tokens by the
        minute.""",
        promql_now(f"min by (model, kind) (groq_ratelimit_limit{MODEL})", table=True),
        promql_now(f"min by (model, kind) (groq_ratelimit_remaining{MODEL})", table=True),
        promql_now(f"max by (model, kind) (groq_ratelimit_reset_seconds{MODEL})", table=True),
        transformations=[{"id": "merge", "options": {}}, {"id": "organize", "options": shown}],
        columns=[
            override("limit", unit="short"),
            override("left", unit="short"),
            override("whole again in", unit="s", decimals=0),
        ],
    )


well = row(
    "Is Groq well?",
    line(
        4,
        share(
            "Attempts that succeed",
            "Among those that we did not break off ourselves. Below, see which result the others have.",
            attempts('="ok"'),
            attempts('!~"cancelled|internal_error"'),
            thresholds("red", (0.95, "orange"), (0.99, "green")),
        ),
        share(
            "Attempts refused with 429",
            "We ask for more than Groq's limits allow: spread the load, or ask Groq for more.",
            attempts('="rate_limit_exceeded"'),
            attempts('!=""'),
            thresholds("green", (0.01, "orange"), (0.05, "red")),
        ),
        share(
            "Attempts that are retries",
            "Of all models. They heal what can be healed, and make people wait.",
            "chat_retries_total",
            ATTEMPTS,
            thresholds("green", (0.02, "orange"), (0.1, "red")),
        ),
        stat(
            "Least headroom",
            "What is left of the limit that is nearest to its end. Under 10 %, slow the load down until it is reset.",
            promql_now(f"min({HEADROOM})"),
            unit="percentunit",
            decimals=0,
            levels=thresholds("red", (0.1, "orange"), (0.25, "green")),
        ),
        stat(
            "Our key refused",
            "How often Groq did not take our key. Once is too often: set a GROQ_API_KEY that works.",
            promql_now(f'sum(increase({ATTEMPTS}{{result="upstream_refused_key"}}[$__range]))'),
            unit="short",
            decimals=0,
            levels=thresholds("green", (0.5, "red")),
        ),
        share(
            "Our share of the wait",
            """How much of the time to first token is ours, not Groq's. Over 5 %, see the event loops on the Workers
            page.""",
            f"{OVERHEAD}_sum",
            f"{TO_FIRST}_sum",
            thresholds("green", (0.05, "orange"), (0.2, "red")),
        ),
    ),
)

tries = row(
    "Attempts",
    line(
        8,
        timeseries(
            "Attempts, by result",
            """Each request to Groq; cancelled ones had lost their client. When orange and red grow, Groq's status
            page is the next thing to look at.""",
            promql(f"sum by (result) (rate({ATTEMPTS}{MODEL}[$__rate_interval]))", "{{result}}"),
            unit="reqps",
            stacked=True,
            colours=RESULT_COLOURS,
            legend="table",
            width=10,
        ),
        timeseries(
            "Retries, by reason",
            "Attempts that followed a failed one. If they do not come down again, it is no hiccup, but an outage.",
            promql("sum by (reason) (rate(chat_retries_total[$__rate_interval]))", "{{reason}}"),
            unit="reqps",
            stacked=True,
            colours=RESULT_COLOURS,
        ),
        timeseries(
            "429s and refused keys",
            "Attempts that Groq did not serve because of who asks, and how much.",
            promql(
                f"sum by (result) (rate({attempts(REFUSED)}[$__rate_interval]))",
                "{{result}}",
            ),
            unit="reqps",
            colours=RESULT_COLOURS,
        ),
    ),
)

headroom = row(
    "Limits",
    line(
        7,
        timeseries(
            "Headroom",
            "What is left of each limit, as Groq last said. Under the line, chats are about to be refused.",
            promql(f"min by (model, kind) ({HEADROOM})", "{{model}} {{kind}}"),
            unit="percentunit",
            limit=0.1,
            max=1,
        ),
        timeseries(
            "Whole again in",
            "How long Groq said that a limit takes to be whole again. Tokens take seconds, requests up to a day.",
            promql(f"max by (model, kind) (groq_ratelimit_reset_seconds{MODEL})", "{{model}} {{kind}}"),
            unit="s",
        ),
        limits(),
    ),
)

clock = row(
    "Where the time goes",
    line(
        9,
        timeseries(
            "Groq's time, and ours",
            """Groq's phases as Groq reports them, and what we add before the first token. The scale is logarithmic:
            ours should lie a decade or more below Groq's.""",
            promql(percentile(0.5, PHASE, by="phase"), "Groq's {{phase}} p50"),
            promql(percentile(0.95, PHASE, by="phase"), "Groq's {{phase}} p95"),
            promql(percentile(0.5, OVERHEAD), "ours p50"),
            promql(percentile(0.95, OVERHEAD), "ours p95"),
            promql(percentile(0.99, OVERHEAD), "ours p99"),
            unit="s",
            logarithmic=True,
            colours={"ours p50": "light-purple", "ours p95": "purple", "ours p99": "dark-purple"},
            legend="table",
            width=14,
        ),
        percentiles(
            "Whole chats",
            """Those that completed, from request to end. Long answers take long: compare with the tokens on the
            Overview.""",
            "chat_duration_seconds",
            '{model=~"$model", outcome="completed"}',
        ),
    ),
    line(
        8,
        percentiles(
            "Longest silence within an answer",
            "A dot leads to its trace. An answer that is silent for longer than INTER_TOKEN_TIMEOUT_S is ended.",
            STALL,
            MODEL,
        ),
        heatmap(
            "Longest silence, all chats",
            "A band far above the others are stalls: Groq stops for a while and goes on.",
            promql_heatmap(f"sum by (le) (increase({STALL}_bucket{MODEL}[$__rate_interval]))"),
            unit="s",
        ),
    ),
)

DASHBOARD = dashboard(
    "Groq",
    "How Groq does: what attempts come to, what is left of its limits, and its time told from ours.",
    well,
    tries,
    headroom,
    clock,
    variables=[label_variable("model", "Model", "chat_requests_total")],
)

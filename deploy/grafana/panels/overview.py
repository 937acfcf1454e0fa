"""Grafana's home page: SLOs, alerts, outcomes of requests, latency, load and cost."""

from builders.dashboard import dashboard, label_variable, line, row
from builders.outcome import COLOURS, GROUP_COLOURS, GROUPS
from builders.panel import bar_gauge, heatmap, link, percentiles, stat, thresholds, timeseries
from builders.query import promql, promql_heatmap, promql_now

from panels.alerts import RUNBOOK
from panels.clients import clients
from panels.slos import SERVICE_HEALTH

MODEL = '{model=~"$model"}'
TO_FIRST = "chat_time_to_first_token_seconds"
PER_NEXT = "chat_time_per_output_token_seconds"


def share(outcomes: tuple[str, ...]) -> str:
    selected = f'{{model=~"$model", outcome=~"{"|".join(outcomes)}"}}'
    every = f"sum(rate(chat_requests_total{MODEL}[$__rate_interval]))"
    return f"sum(rate(chat_requests_total{selected}[$__rate_interval])) / {every}"


traffic = row(
    "Traffic",
    line(
        8,
        timeseries(
            "Requests by outcome",
            """Counted at the end of the request. Orange: failures of Groq. Red: failures of the service. Blue: client
            disconnects. Purple: not admitted.""",
            promql(f"sum by (outcome) (rate(chat_requests_total{MODEL}[$__rate_interval]))", "{{outcome}}"),
            unit="reqps",
            stacked=True,
            colours=COLOURS,
            legend="table",
        ),
        timeseries(
            "Share of requests by cause",
            """Requests that did not complete, as shares of all requests. Client disconnects do not count against the
            SLO; if they increase, compare them with the time to first token.""",
            *(promql(share(outcomes), group) for group, outcomes in GROUPS.items()),
            unit="percentunit",
            colours=GROUP_COLOURS,
            legend="table",
        ),
    ),
)

latency = row(
    "Latency",
    line(
        8,
        percentiles(
            "Time to first token",
            """From the last byte of the request to the first token, including retries. Each dot is a chat, with links
            to its trace and row. The dashed line is the SLO for 95 % of the chats.""",
            TO_FIRST,
            MODEL,
            limit=1,
        )
        | {"links": [link("Slowest chats in this time range", "/d/chat-chats?${__url_time_range}")]},
        heatmap(
            "Time to first token distribution",
            "Two bands indicate two kinds of chats: two models, cached and uncached prompts, or retried chats.",
            promql_heatmap(f"sum by (le) (increase({TO_FIRST}_bucket{MODEL}[$__rate_interval]))"),
            unit="s",
        ),
        percentiles(
            "Time per output token",
            """(last token - first token) / (tokens - 1) of each chat. Each dot is a chat. The dashed line is the SLO
            for 95 % of the chats.""",
            PER_NEXT,
            MODEL,
            limit=0.02,
        ),
    ),
)

load = row(
    "Load and cost",
    line(
        8,
        timeseries(
            "Active streams",
            "Running chats of each machine. A value above 0 without traffic indicates a leak.",
            promql("sum by (host) (chat_active_streams)", "{{host}}"),
            unit="short",
        ),
        timeseries(
            "Token throughput",
            "input includes cached_input; output includes reasoning.",
            promql(f"sum by (type) (rate(chat_tokens_total{MODEL}[$__rate_interval]))", "{{type}}"),
            unit="suffix:tokens/s",
            colours={"input": "blue", "cached_input": "light-blue", "output": "green", "reasoning": "light-green"},
        ),
        timeseries(
            "Cost per hour by model",
            "Current rate of spending, by the price list.",
            promql(f"3600 * sum by (model) (rate(chat_cost_usd_total{MODEL}[$__rate_interval]))", "{{model}}"),
            unit="currencyUSD",
            stacked=True,
        ),
    ),
    line(
        5,
        stat(
            "Cost, last hour",
            "Of all models, by the price list. Tokens are estimated for chats that ended before Groq reported usage.",
            promql_now("sum(increase(chat_cost_usd_total[1h]))"),
            unit="currencyUSD",
            width=4,
        ),
        stat(
            "Cost, last day",
            "Of all models, by the price list. *Cost by client* on the Chats page has the clients.",
            promql_now("sum(increase(chat_cost_usd_total[1d]))"),
            unit="currencyUSD",
            width=4,
        ),
        stat(
            "Tokens without a price",
            """In this time range, of all models. Their cost is missing in the other panels: add the model's price to
            MODEL_PRICES.""",
            promql_now("sum(increase(chat_unpriced_tokens_total[$__range]))"),
            unit="short",
            decimals=0,
            levels=thresholds("green", (0.5, "orange")),
            width=4,
        ),
        bar_gauge(
            "Cost by model",
            "In this time range, by the price list.",
            promql_now(f"sum by (model) (increase(chat_cost_usd_total{MODEL}[$__range]))", "{{model}}"),
            unit="currencyUSD",
        ),
        bar_gauge(
            "Tokens by model",
            "Input and output tokens in this time range.",
            promql_now(
                'sum by (model) (increase(chat_tokens_total{model=~"$model", type=~"input|output"}[$__range]))',
                "{{model}}",
            ),
            unit="short",
        ),
    ),
)

DASHBOARD = dashboard(
    "Overview",
    "Service health, outcomes of requests, latency, load and cost.",
    SERVICE_HEALTH,
    traffic,
    latency,
    load,
    clients,
    variables=[label_variable("model", "Model", "chat_requests_total"), RUNBOOK],
)

"""Is it well? The promises, who left and who failed, how fast it is, what it costs. Grafana's home page."""

from builders.dashboard import dashboard, label_variable, line, row
from builders.outcome import COLOURS, GROUP_COLOURS, GROUPS
from builders.panel import bar_gauge, heatmap, link, percentiles, stat, timeseries
from builders.query import promql, promql_heatmap, promql_now

from panels.promises import PROMISES

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
            "Requests, by how they ended",
            """A request counts when it ends. Orange and red are Groq's and ours, blue is the client's, purple was
            not let in.""",
            promql(f"sum by (outcome) (rate(chat_requests_total{MODEL}[$__rate_interval]))", "{{outcome}}"),
            unit="reqps",
            stacked=True,
            colours=COLOURS,
            legend="table",
        ),
        timeseries(
            "Who left, and who failed",
            """Shares of all requests. People who leave early are no failure; many at once are: compare with the
            time to first token.""",
            *(promql(share(outcomes), group) for group, outcomes in GROUPS.items()),
            unit="percentunit",
            colours=GROUP_COLOURS,
            legend="table",
        ),
    ),
)

speed = row(
    "Speed",
    line(
        8,
        percentiles(
            "Time to first token",
            """From the request's last byte to the first token, retries included. Each dot is a chat: it leads to
            its trace and to its row. The line is what is promised for 95 of 100.""",
            TO_FIRST,
            MODEL,
            limit=1,
        )
        | {"links": [link("The slowest chats of this time", "/d/chat-chats?${__url_time_range}")]},
        heatmap(
            "Time to first token, all chats",
            "Two bands are two kinds of chats: two models, cached and uncached prompts, or those that were retried.",
            promql_heatmap(f"sum by (le) (increase({TO_FIRST}_bucket{MODEL}[$__rate_interval]))"),
            unit="s",
        ),
        percentiles(
            "Time per output token",
            """(last token - first token) / (tokens - 1) of each chat. Each dot is a chat. The line is what is
            promised for 95 of 100.""",
            PER_NEXT,
            MODEL,
            limit=0.02,
        ),
    ),
)

load = row(
    "Load and money",
    line(
        8,
        timeseries(
            "Chats running",
            "On each machine. It returns to 0 when nobody asks; if it does not, chats leak.",
            promql("sum by (host) (chat_active_streams)", "{{host}}"),
            unit="short",
        ),
        timeseries(
            "Tokens",
            "cached_input is a part of input, reasoning a part of output.",
            promql(f"sum by (type) (rate(chat_tokens_total{MODEL}[$__rate_interval]))", "{{type}}"),
            unit="suffix:tokens/s",
            colours={"input": "blue", "cached_input": "light-blue", "output": "green", "reasoning": "light-green"},
        ),
        timeseries(
            "Cost of an hour, by model",
            "What an hour at this pace costs, by the price list.",
            promql(f"3600 * sum by (model) (rate(chat_cost_usd_total{MODEL}[$__rate_interval]))", "{{model}}"),
            unit="currencyUSD",
            stacked=True,
        ),
    ),
    line(
        5,
        stat(
            "Cost, last hour",
            "Of all models, by the price list. Chats that broke off before Groq had counted are estimated.",
            promql_now("sum(increase(chat_cost_usd_total[1h]))"),
            unit="currencyUSD",
            width=4,
        ),
        stat(
            "Cost, last day",
            "Of all models, by the price list. The Chats page says which client caused it.",
            promql_now("sum(increase(chat_cost_usd_total[1d]))"),
            unit="currencyUSD",
            width=4,
        ),
        bar_gauge(
            "Cost by model, in this time range",
            "`other` are models that the price list does not have: what they cost is unknown.",
            promql_now(f"sum by (model) (increase(chat_cost_usd_total{MODEL}[$__range]))", "{{model}}"),
            unit="currencyUSD",
        ),
        bar_gauge(
            "Tokens by model, in this time range",
            "Input and output together.",
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
    "Is it well? The promises first, then who left and who failed, how fast it is, and what it costs.",
    PROMISES,
    traffic,
    speed,
    load,
    variables=[label_variable("model", "Model", "chat_requests_total")],
)

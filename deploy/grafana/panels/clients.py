"""Usage of the clients, by the name of their API keys."""

from builders.dashboard import line, row
from builders.panel import timeseries
from builders.query import promql

CLIENTS = "Clients are the names in API_KEYS; `anonymous` is any caller of a service without keys."


def per_minute(counter: str) -> str:
    return f"60 * sum by (client) (rate({counter}[$__rate_interval]))"


def quota_used(counter: str, kind: str) -> str:
    """PromQL for the share of a quota that was used in the last minute, which is the window of quotas."""
    used = f"sum by (client) (increase({counter}[1m]))"
    return f'{used} / on () group_left () max(chat_quota_limit{{kind="{kind}"}})'


clients = row(
    "Clients",
    line(
        8,
        timeseries(
            "Usage by client",
            f"Input and output tokens per minute. {CLIENTS}",
            promql(per_minute("chat_client_tokens_total") + " > 0", "{{client}}"),
            unit="suffix:tokens/min",
            stacked=True,
            may_be_empty="No chats.",
        ),
        timeseries(
            "Quota used",
            """Requests and tokens of the last minute, as shares of QUOTA_REQUESTS_PER_MINUTE and
            QUOTA_TOKENS_PER_MINUTE. At 100 % requests are refused until the client's minute has passed. Without
            REDIS_URL each worker counts for itself, so that the sum may be higher.""",
            promql(quota_used("chat_client_requests_total", "requests") + " > 0", "{{client}} requests"),
            promql(quota_used("chat_client_tokens_total", "tokens") + " > 0", "{{client}} tokens"),
            unit="percentunit",
            limit=1,
            may_be_empty="No quota is set.",
        ),
        timeseries(
            "Refused requests by client",
            """Requests per minute with a valid key that were refused before a chat began. rejected_quota: contact the
            client, or raise its quota.""",
            promql(
                "60 * sum by (client, outcome) (rate(chat_client_refusals_total[$__rate_interval])) > 0",
                "{{client}} {{outcome}}",
            ),
            unit="suffix:req/min",
            stacked=True,
            may_be_empty="No requests are refused.",
        ),
        timeseries(
            "Cost per hour by client",
            "Current rate of spending, by the price list. *Cost by client* on the Chats page has totals.",
            promql("3600 * sum by (client) (rate(chat_client_cost_usd_total[$__rate_interval])) > 0", "{{client}}"),
            unit="currencyUSD",
            stacked=True,
            may_be_empty="No chats.",
        ),
    ),
)

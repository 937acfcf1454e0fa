"""Service health: SLOs, error budgets, burn rates and firing alerts."""

from builders.dashboard import line, row
from builders.outcome import FAILED
from builders.panel import override, stat, table, thresholds, timeseries
from builders.query import Json, promql, promql_now

from panels import alerts

BAD = "|".join(FAILED)
NOT_YET = "No data yet. Recording rules need a minute with chats."
COLOURED = {"type": "color-text"}
COLUMNS = ("objective", "actual", "budget left", "burn rate")


def availability() -> str:
    bad = f'sum(increase(chat_requests_total{{outcome=~"{BAD}"}}[$__range]))'
    return f'1 - {bad} / sum(increase(chat_requests_total{{outcome=~"completed|{BAD}"}}[$__range]))'


def within(histogram: str, bound: str) -> str:
    """PromQL for the share of observations up to the bound of a bucket."""
    fast = f'sum(increase({histogram}_bucket{{le="{bound}"}}[$__range]))'
    return f"{fast} / sum(increase({histogram}_count[$__range]))"


def sli(title: str, description: str, expr: str, *, objective: float) -> Json:
    levels = thresholds("red", (objective, "green"))
    return stat(title, description, promql_now(expr), unit="percentunit", decimals=2, levels=levels, width=3)


def slos() -> Json:
    names = {f"Value #{letter}": name for letter, name in zip("ABCD", COLUMNS, strict=True)}
    order = {name: place for place, name in enumerate(("sloth_slo", *names))}
    shown = {"excludeByName": {"Time": True}, "indexByName": order, "renameByName": {"sloth_slo": "SLO"} | names}
    levels = thresholds("red", (0, "orange"), (0.25, "green"))
    return table(
        "SLOs",
        """Objectives and results over 30 days, and the error budget remaining. Below 0 % the SLO is missed: pause
        releases until it recovers. A burn rate of 1 consumes the budget in 30 days.""",
        promql_now("max by (sloth_slo) (slo:objective:ratio)", table=True),
        promql_now("max by (sloth_slo) (1 - slo:sli_error:ratio_rate30d)", table=True),
        promql_now("max by (sloth_slo) (slo:period_error_budget_remaining:ratio)", table=True),
        promql_now("max by (sloth_slo) (slo:current_burn_rate:ratio)", table=True),
        transformations=[{"id": "merge", "options": {}}, {"id": "organize", "options": shown}],
        columns=[
            override("objective", unit="percentunit", custom__width=85),
            override("actual", unit="percentunit", decimals=2, custom__width=85),
            override("budget left", unit="percentunit", decimals=0, thresholds=levels, custom__cellOptions=COLOURED),
            override("burn rate", decimals=1, custom__width=80),
        ],
        may_be_empty=NOT_YET,
        width=9,
    )


SERVICE_HEALTH = row(
    "Service health",
    line(
        5,
        sli(
            "Availability",
            """Completed chats / (completed + failed chats). Objective: 99.5 %. If it is missed, see *Share of requests
            by cause*.""",
            availability(),
            objective=0.995,
        ),
        sli(
            "First token within 1 s",
            "Objective: 95 % of the chats. If it is missed, see *Groq phases and service overhead* on the Groq page.",
            within("chat_time_to_first_token_seconds", "1.0"),
            objective=0.95,
        ),
        sli(
            "Token every 20 ms",
            """Chats with 20 ms or less per output token on average. Objective: 95 % of the chats. If it is missed, see
            Groq's completion phase on the Groq page, then the event loop lag on the Workers page.""",
            within("chat_time_per_output_token_seconds", "0.02"),
            objective=0.95,
        ),
        slos(),
        alerts.number(),
        stat(
            "Active streams", "Running chats of all workers.", promql("sum(chat_active_streams)"), unit="short", width=3
        ),
    ),
    line(
        6,
        timeseries(
            "Error budget burn rate, 1 h",
            "At 1 the error budget lasts 30 days. Above 14.4 (two days) an alert of severity page fires.",
            promql(
                """max by (sloth_slo)
                (slo:sli_error:ratio_rate1h / on (sloth_id) group_left () slo:error_budget:ratio)""",
                "{{sloth_slo}}",
            ),
            unit="short",
            limit=14.4,
            may_be_empty=NOT_YET,
        ),
        alerts.firing(),
    ),
)

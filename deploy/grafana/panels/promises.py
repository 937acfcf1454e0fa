"""The promises of the service: whether they are kept, how fast their error budgets go, and who is called for it."""

from builders.dashboard import line, row
from builders.outcome import FAILED
from builders.panel import override, stat, table, thresholds, timeseries
from builders.query import Json, promql, promql_now

BAD = "|".join(FAILED)
NOT_YET = "Nothing to count yet: the first minute has to pass, with chats in it."
COLOURED = {"type": "color-text"}
COLUMNS = ("promised", "kept", "budget left", "burn rate")


def available() -> str:
    bad = f'sum(increase(chat_requests_total{{outcome=~"{BAD}"}}[$__range]))'
    return f'1 - {bad} / sum(increase(chat_requests_total{{outcome=~"completed|{BAD}"}}[$__range]))'


def within(histogram: str, bound: str) -> str:
    """The share that was no slower than a bucket's bound."""
    fast = f'sum(increase({histogram}_bucket{{le="{bound}"}}[$__range]))'
    return f"{fast} / sum(increase({histogram}_count[$__range]))"


def kept(title: str, description: str, expr: str, *, promised: float) -> Json:
    levels = thresholds("red", (promised, "green"))
    return stat(title, description, promql_now(expr), unit="percentunit", decimals=2, levels=levels, width=3)


def budgets() -> Json:
    names = {f"Value #{letter}": name for letter, name in zip("ABCD", COLUMNS, strict=True)}
    order = {name: place for place, name in enumerate(("sloth_slo", *names))}
    shown = {"excludeByName": {"Time": True}, "indexByName": order, "renameByName": {"sloth_slo": "promise"} | names}
    levels = thresholds("red", (0, "orange"), (0.25, "green"))
    return table(
        "The promises, over 30 days",
        """What was promised, what was kept, and how much of the errors that this allows is left. Below zero the
        promise is broken: let changes wait until it is kept again. A burn rate of 1 uses a budget up in 30
        days.""",
        promql_now("max by (sloth_slo) (slo:objective:ratio)", table=True),
        promql_now("max by (sloth_slo) (1 - slo:sli_error:ratio_rate30d)", table=True),
        promql_now("max by (sloth_slo) (slo:period_error_budget_remaining:ratio)", table=True),
        promql_now("max by (sloth_slo) (slo:current_burn_rate:ratio)", table=True),
        transformations=[{"id": "merge", "options": {}}, {"id": "organize", "options": shown}],
        columns=[
            override("promised", unit="percentunit", custom__width=85),
            override("kept", unit="percentunit", decimals=2, custom__width=85),
            override("budget left", unit="percentunit", decimals=0, thresholds=levels, custom__cellOptions=COLOURED),
            override("burn rate", decimals=1, custom__width=80),
        ],
        may_be_empty=NOT_YET,
        width=9,
    )


def firing() -> Json:
    hidden = ("Time", "Value", "__name__", "alertstate", "sloth_severity", "sloth_service", "sloth_id")
    shown = {"excludeByName": dict.fromkeys(hidden, True), "indexByName": {"severity": 0, "alertname": 1}}
    return table(
        "Firing alerts",
        "What asks for a person: page at once, ticket in the morning. deploy/runbook.md has a section for each.",
        promql_now('ALERTS{alertstate="firing"}', table=True),
        transformations=[{"id": "organize", "options": shown}],
        columns=[override("severity", custom__width=80)],
        may_be_empty="None. Nothing asks for a person.",
    )


PROMISES = row(
    "Is it well?",
    line(
        5,
        kept(
            "Available",
            """Completed chats, among those and the ones that Groq or we failed at. Promised: 99.5 %. Below it, see
            who failed, under Traffic.""",
            available(),
            promised=0.995,
        ),
        kept(
            "First token within 1 s",
            "Promised: 95 %. Below it, the Groq page tells Groq's part of the wait from ours.",
            within("chat_time_to_first_token_seconds", "1.0"),
            promised=0.95,
        ),
        kept(
            "Tokens within 20 ms",
            """Chats whose tokens came 20 ms apart or less, on average. Promised: 95 %. Below it, see Groq's
            completion phase, then the event loops on the Workers page.""",
            within("chat_time_per_output_token_seconds", "0.02"),
            promised=0.95,
        ),
        budgets(),
        stat(
            "Alerts",
            "How many are firing. They are listed below.",
            promql_now('count(ALERTS{alertstate="firing"}) or vector(0)'),
            unit="short",
            levels=thresholds("green", (1, "red")),
            width=3,
        ),
        stat("Chats running", "On all workers, now.", promql("sum(chat_active_streams)"), unit="short", width=3),
    ),
    line(
        6,
        timeseries(
            "Burn rate, over an hour",
            "How fast the error budgets go: at 1 they last 30 days, at 14.4 two days, and somebody is called.",
            promql(
                """max by (sloth_slo)
                (slo:sli_error:ratio_rate1h / on (sloth_id) group_left () slo:error_budget:ratio)""",
                "{{sloth_slo}}",
            ),
            unit="short",
            limit=14.4,
            may_be_empty=NOT_YET,
        ),
        firing(),
    ),
)

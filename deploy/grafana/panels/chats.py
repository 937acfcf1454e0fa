"""Rows of chat_logs: one chat with its trace, the latest, slowest and failed chats, totals by outcome and client."""

import json
from urllib.parse import quote

from builders.dashboard import dashboard, line, list_variable, row, sql_variable, text_variable
from builders.outcome import COLOURS, WITH_ROW
from builders.panel import coloured, link, override, stat, table, timeseries, traces
from builders.query import JAEGER, Json, sql, trace

from panels import chats_sql

NONE = "No chats in this time range."


def explore_trace() -> str:
    """URL of Grafana's Explore with the trace of the clicked cell."""
    clicked = "${__value.raw}"
    query = {"refId": "A", "datasource": JAEGER, "query": clicked, "queryType": ""}
    pane = {"datasource": JAEGER["uid"], "queries": [query], "range": {"from": "now-1h", "to": "now"}}
    panes = quote(json.dumps({"trace": pane}, separators=(",", ":")))
    return "/explore?schemaVersion=1&panes=" + panes.replace(quote(clicked), clicked)


CHOSEN = "&".join(f"${{{name}:queryparam}}" for name in ("outcome", "model", "end_user"))
SELECT_CHAT = "/d/chat-chats?var-id=${__value.raw}&" + CHOSEN + "&${__url_time_range}"
COLUMNS = [
    override("time", unit="dateTimeAsLocal", custom__width=170),
    override("id", links=[link("Show this chat", SELECT_CHAT)], custom__width=120),
    override("outcome", **coloured(COLOURS), custom__width=150),
    override("first token", unit="s", custom__width=90),
    override("duration", unit="s", custom__width=90),
    override("attempts", custom__width=80),
    override("tokens", custom__width=70),
    override("cost", unit="currencyUSD", custom__width=90),
    override("trace", links=[link("Show its trace", explore_trace(), new_tab=True)], custom__width=120),
]


def chat_table(title: str, description: str, query: str, *, empty: str = NONE) -> Json:
    return table(title, description, sql(query), columns=COLUMNS, may_be_empty=empty)


totals = row(
    "Summary",
    line(
        4,
        stat(
            "Totals",
            """Chats with the selected models and outcomes in this time range. Requests that were not admitted have no
            row; the Overview counts them.""",
            sql(chats_sql.TOTALS),
            unit="short",
            overrides=[
                override("completed", unit="percentunit"),
                override("median first token", unit="s"),
                override("cost", unit="currencyUSD"),
            ],
        ),
    ),
)

selected = row(
    "Selected chat",
    line(
        14,
        table(
            "Chat record",
            """All columns of the chat with the Id above: a chat id, trace id, client request id or one of Groq's ids.
            Without an Id, the latest chat.""",
            sql(chats_sql.FACTS),
            columns=[
                override("field", custom__width=160),
                override("value", custom__cellOptions={"type": "auto", "wrapText": True}, custom__inspect=True),
            ],
            may_be_empty="No chat in this time range has this id. Chat ids are found at any time.",
        ),
        traces(
            "Trace",
            "Trace of the selected chat. Empty if it was not exported or sampled, or if Jaeger has deleted it.",
            trace("$trace"),
        ),
    ),
)

lists = row(
    "Chats",
    line(
        10,
        chat_table(
            "Latest chats",
            "Texts are cut to 100 characters. Click an id to select the chat, a trace id to open its trace.",
            chats_sql.LAST,
        ),
    ),
    line(
        9,
        chat_table(
            "Slowest time to first token",
            "Several attempts indicate retries; one slow attempt indicates latency of Groq.",
            chats_sql.SLOWEST,
        ),
    ),
    line(
        9,
        chat_table(
            "Failed chats",
            """Chats with an outcome that counts against availability. The selected outcomes do not apply.""",
            chats_sql.FAILED_CHATS,
            empty="None in this time range.",
        ),
    ),
)

sums = row(
    "Breakdown",
    line(
        8,
        timeseries(
            "Chats by outcome",
            "Counted at the start of the chat. The Overview counts requests at their end.",
            sql(chats_sql.BY_OUTCOME, over_time=True),
            unit="short",
            stacked=True,
            bars=True,
            colours=WITH_ROW,
            may_be_empty=NONE,
        )
        | {"interval": "10s", "maxDataPoints": 100},
        table(
            "Cost by client",
            "Tokens are estimated for chats that ended before Groq reported usage.",
            sql(chats_sql.BY_CLIENT),
            columns=[
                override("cost", unit="currencyUSD"),
                *(override(name, unit="short") for name in ("chats", "input tokens", "output tokens")),
            ],
            may_be_empty=NONE,
        ),
    ),
)

DASHBOARD = dashboard(
    "Chats",
    "Rows of chat_logs with prompts and answers. Every user of this dashboard can read them.",
    totals,
    selected,
    lists,
    sums,
    variables=[
        text_variable("id", "Id", "Chat id (x-request-id), trace id, client request id or one of Groq's ids."),
        list_variable("outcome", "Outcome", list(WITH_ROW)),
        sql_variable("model", "Model", chats_sql.MODELS),
        text_variable("end_user", "End user", "safety_identifier or user of the request; all if empty."),
        sql_variable("trace", "Trace", chats_sql.SELECTED_TRACE, hidden=True),
    ],
)

"""The rows: one chat in full with its trace, the last, the slowest and the failed ones, and who caused what."""

import json
from urllib.parse import quote

from builders.dashboard import dashboard, line, list_variable, row, sql_variable, text_variable
from builders.outcome import COLOURS, WITH_ROW
from builders.panel import coloured, link, override, stat, table, timeseries, traces
from builders.query import JAEGER, Json, sql, trace

from panels import chats_sql

NONE = "No chats in this time range."


def explore_trace() -> str:
    """Grafana's Explore, with the trace of the cell that was clicked."""
    clicked = "${__value.raw}"
    query = {"refId": "A", "datasource": JAEGER, "query": clicked, "queryType": ""}
    pane = {"datasource": JAEGER["uid"], "queries": [query], "range": {"from": "now-1h", "to": "now"}}
    panes = quote(json.dumps({"trace": pane}, separators=(",", ":")))
    return "/explore?schemaVersion=1&panes=" + panes.replace(quote(clicked), clicked)


WHOLE_CHAT = "/d/chat-chats?var-id=${__value.raw}&${outcome:queryparam}&${model:queryparam}&${__url_time_range}"
COLUMNS = [
    override("time", unit="dateTimeAsLocal", custom__width=170),
    override("id", links=[link("The whole chat", WHOLE_CHAT)], custom__width=120),
    override("outcome", **coloured(COLOURS), custom__width=150),
    override("first token", unit="s", custom__width=90),
    override("duration", unit="s", custom__width=90),
    override("attempts", custom__width=80),
    override("tokens", custom__width=70),
    override("cost", unit="currencyUSD", custom__width=90),
    override("trace", links=[link("Its trace", explore_trace(), new_tab=True)], custom__width=120),
]


def listed(title: str, description: str, query: str, *, none: str = NONE) -> Json:
    return table(title, description, sql(query), columns=COLUMNS, may_be_empty=none)


totals = row(
    "What happened",
    line(
        4,
        stat(
            "Chats in this time range",
            """Of the chosen models and outcomes. Requests that were not let in have no row: they are on the
            Overview only.""",
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

chosen = row(
    "The chosen chat",
    line(
        14,
        table(
            "The chat",
            """All that is kept of the chat whose id is in the box above: its own, its trace's, its caller's or
            Groq's. With an empty box, the last chat.""",
            sql(chats_sql.FACTS),
            columns=[
                override("field", custom__width=160),
                override("value", custom__cellOptions={"type": "auto", "wrapText": True}, custom__inspect=True),
            ],
            may_be_empty="No chat in this time range has this id. A chat's own id is found whenever it was.",
        ),
        traces(
            "Its trace",
            "Where its time went. None, if traces are not exported, if it was not sampled, or if Jaeger has let it go.",
            trace("$trace"),
        ),
    ),
)

lists = row(
    "Chats",
    line(
        10,
        listed(
            "The last ones",
            "Texts are shortened here. Click an id to read the chat, a trace to see where its time went.",
            chats_sql.LAST,
        ),
    ),
    line(
        9,
        listed(
            "The slowest to begin",
            "The longest waits for a first token. Many attempts mean retries; a single one that took long means Groq.",
            chats_sql.SLOWEST,
        ),
    ),
    line(
        9,
        listed(
            "Those that Groq or we failed at",
            """Failures that have a row, whatever outcome is chosen above. The error says what happened, the trace
            where.""",
            chats_sql.FAILED_ONES,
            none="None in this time range.",
        ),
    ),
)

sums = row(
    "Who and what",
    line(
        8,
        timeseries(
            "Chats, by outcome",
            "Rows, by when they began. The Overview counts requests, by when they ended.",
            sql(chats_sql.BY_OUTCOME, over_time=True),
            unit="short",
            stacked=True,
            bars=True,
            colours=WITH_ROW,
            may_be_empty=NONE,
        )
        | {"interval": "10s", "maxDataPoints": 100},
        table(
            "Clients, by cost",
            "Who asks, how much, and what it costs. Chats that broke off before Groq had counted are estimated.",
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
    "The rows of chat_logs, with what people wrote: who may open this page may read it all.",
    totals,
    chosen,
    lists,
    sums,
    variables=[
        text_variable("id", "Id", "A chat's id (the response's x-request-id), its trace's, its caller's or Groq's."),
        list_variable("outcome", "Outcome", list(WITH_ROW)),
        sql_variable("model", "Model", chats_sql.MODELS),
        sql_variable("trace", "Trace", chats_sql.CHOSEN_TRACE, hidden=True),
    ],
)

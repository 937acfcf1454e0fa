"""What becomes of the rows, for the page of the workers."""

from builders.dashboard import line, row
from builders.panel import table, timeseries
from builders.query import percentile, promql, promql_now

HOST = '{host=~"$host"}'
COMMIT = "chat_log_commit_seconds"
SHOWN = {
    "excludeByName": dict.fromkeys(("Time", "Value", "__name__", "job"), True),
    "indexByName": {"host": 0, "instance": 1, "version": 2},
}

rows = row(
    "Rows",
    line(
        7,
        timeseries(
            "Commit",
            """The receipt waits for it. When p99 nears COMMIT_TIMEOUT_S, rows go to disk instead: look after the
            database.""",
            promql(percentile(0.5, COMMIT, HOST), "p50"),
            promql(percentile(0.99, COMMIT, HOST), "p99"),
            unit="s",
            colours={"p50": "green", "p99": "orange"},
        ),
        timeseries(
            "Rows in one commit",
            "On average. It grows with the load, and that is how the database keeps up.",
            promql(
                f"sum(rate(chat_log_batch_rows_sum{HOST}[$__rate_interval]))"
                f" / sum(rate(chat_log_batch_rows_count{HOST}[$__rate_interval]))",
                "rows",
            ),
            unit="short",
        ),
        timeseries(
            "Connections to the database",
            "Of all workers. If all are in use for long, commits wait for each other.",
            promql(f"sum by (state) (db_pool_connections{HOST})", "{{state}}"),
            unit="short",
            stacked=True,
            colours={"in_use": "orange", "idle": "green"},
        ),
        timeseries(
            "Rows in the outbox",
            "On each machine's disk. It rises while the database is unavailable, and falls to 0 when it is back.",
            promql(f"max by (host) (chat_log_outbox_rows{HOST})", "{{host}}"),
            unit="short",
        ),
    ),
    line(
        6,
        timeseries(
            "Outbox usage",
            "Of each machine's limit, rejected rows included. At 100 % new chats are refused.",
            promql(f"max by (host) (chat_log_outbox_bytes{HOST} / chat_log_outbox_limit_bytes{HOST})", "{{host}}"),
            unit="percentunit",
            width=12,
        ),
        timeseries(
            "Age of the oldest row in the outbox",
            "How long ago its chat arrived. It is on one disk, and nowhere else.",
            promql(f"max by (host) (chat_log_outbox_age_seconds{HOST})", "{{host}}"),
            unit="s",
            width=12,
        ),
    ),
    line(
        7,
        timeseries(
            "Lost on the way",
            "Commits and outbox writes that failed, rows refused, spans and log lines that nobody has: 0 is right.",
            promql(f"sum(increase(chat_log_commit_failures_total{HOST}[$__rate_interval]))", "commits failed"),
            promql(f"sum(increase(chat_log_rejected_rows_total{HOST}[$__rate_interval]))", "rows rejected"),
            promql(f"sum(increase(chat_log_outbox_failures_total{HOST}[$__rate_interval]))", "outbox writes failed"),
            promql(f"sum(increase(otel_spans_dropped_total{HOST}[$__rate_interval]))", "spans dropped"),
            promql(f"sum(increase(log_lines_dropped_total{HOST}[$__rate_interval]))", "log lines dropped"),
            unit="short",
            colours={"commits failed": "purple", "rows rejected": "red", "spans dropped": "orange"},
            width=12,
        ),
        table(
            "What runs",
            "Each worker, and its version. Two versions at once are a rollout that goes on, or one that got stuck.",
            promql_now(f"app_info{HOST}", table=True),
            transformations=[{"id": "organize", "options": SHOWN}],
            width=12,
        ),
    ),
)

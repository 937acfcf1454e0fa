"""Panels of the Workers dashboard about the persistence of rows."""

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
    "Persistence",
    line(
        7,
        timeseries(
            "Commit duration",
            """`[DONE]` is sent after the commit. Rows that exceed COMMIT_TIMEOUT_S go to the outbox: if p99 comes near,
            check the database.""",
            promql(percentile(0.5, COMMIT, HOST), "p50"),
            promql(percentile(0.99, COMMIT, HOST), "p99"),
            unit="s",
            colours={"p50": "green", "p99": "orange"},
        ),
        timeseries(
            "Rows per commit",
            "Average. Batches grow with the load.",
            promql(
                f"sum(rate(chat_log_batch_rows_sum{HOST}[$__rate_interval]))"
                f" / sum(rate(chat_log_batch_rows_count{HOST}[$__rate_interval]))",
                "rows",
            ),
            unit="short",
        ),
        timeseries(
            "Database connections",
            "Connections of all workers. While none is idle, commits wait for a connection.",
            promql(f"sum by (state) (db_pool_connections{HOST})", "{{state}}"),
            unit="short",
            stacked=True,
            colours={"in_use": "orange", "idle": "green"},
        ),
        timeseries(
            "Rows in the outbox by machine",
            "The value rises while the database is unavailable, and falls to 0 after it recovers.",
            promql(f"max by (host) (chat_log_outbox_rows{HOST})", "{{host}}"),
            unit="short",
        ),
    ),
    line(
        6,
        timeseries(
            "Outbox usage",
            "Share of OUTBOX_MAX_BYTES, by machine, including rejected rows. At 100 % new chats are refused.",
            promql(f"max by (host) (chat_log_outbox_bytes{HOST} / chat_log_outbox_limit_bytes{HOST})", "{{host}}"),
            unit="percentunit",
            width=12,
        ),
        timeseries(
            "Age of the oldest outbox row",
            "Time since its chat arrived. Rows in the outbox exist on one disk only.",
            promql(f"max by (host) (chat_log_outbox_age_seconds{HOST})", "{{host}}"),
            unit="s",
            width=12,
        ),
    ),
    line(
        7,
        timeseries(
            "Failed writes and dropped telemetry",
            "Failed commits and outbox writes, rejected rows, dropped spans and log lines. All are expected to be 0.",
            promql(f"sum(increase(chat_log_commit_failures_total{HOST}[$__rate_interval]))", "failed commits"),
            promql(f"sum(increase(chat_log_rejected_rows_total{HOST}[$__rate_interval]))", "rejected rows"),
            promql(f"sum(increase(chat_log_outbox_failures_total{HOST}[$__rate_interval]))", "failed outbox writes"),
            promql(f"sum(increase(otel_spans_dropped_total{HOST}[$__rate_interval]))", "dropped spans"),
            promql(f"sum(increase(log_lines_dropped_total{HOST}[$__rate_interval]))", "dropped log lines"),
            unit="short",
            colours={"failed commits": "purple", "rejected rows": "red", "dropped spans": "orange"},
            width=12,
        ),
        table(
            "Versions",
            "Version of each worker. Two versions at once indicate a rollout in progress, or a stuck one.",
            promql_now(f"app_info{HOST}", table=True),
            transformations=[{"id": "organize", "options": SHOWN}],
            width=12,
        ),
    ),
)

"""The processes: who is there, how busy their loops are, whether rows get to the database."""

from builders.dashboard import dashboard, label_variable, line, row
from builders.panel import stat, table, thresholds, timeseries
from builders.query import percentile, promql, promql_now

HOST = '{host=~"$host"}'
# Prometheus and Jaeger have process_* too: this keeps those of the workers.
OURS = f"and on (job, instance) app_workers{HOST}"
LAG = "event_loop_lag_seconds"
COMMIT = "chat_log_commit_seconds"
SHOWN = {
    "excludeByName": dict.fromkeys(("Time", "Value", "__name__", "job"), True),
    "indexByName": {"host": 0, "instance": 1, "version": 2},
}

well = row(
    "Are the workers well?",
    line(
        4,
        stat(
            "Workers",
            "Those that answer, and those that should. A machine that is gone altogether is in neither number.",
            promql_now(f"count(app_workers{HOST})", "up"),
            promql_now(f"sum(max by (host) (app_workers{HOST}))", "meant"),
            unit="short",
            width=5,
        ),
        stat(
            "Draining",
            "Workers that finish their last chats. It goes back to 0 within half a minute of a restart.",
            promql_now(f"sum(chat_draining{HOST})"),
            unit="short",
            levels=thresholds("green", (1, "yellow")),
            width=3,
        ),
        stat(
            "Slowest event loop, p99",
            "How late the worst worker wakes up. Over 100 ms, its chats stutter: add workers, or find what blocks.",
            promql_now(f"max({percentile(0.99, LAG, HOST, by='instance')})"),
            unit="s",
            levels=thresholds("green", (0.025, "orange"), (0.1, "red")),
            width=4,
        ),
        stat(
            "Rows spooled",
            "Rows on disk that wait for the database. They are safe there; look after the database.",
            promql_now(f"sum(chat_log_spooled_rows{HOST})"),
            unit="short",
            levels=thresholds("green", (1, "orange"), (1000, "red")),
            width=4,
        ),
        stat(
            "Rows rejected",
            "Rows that the database refused for what is in them, in this time range. It is a bug: the log says which.",
            promql_now(f"sum(increase(chat_log_rejected_rows_total{HOST}[$__range]))"),
            unit="short",
            decimals=0,
            levels=thresholds("green", (0.5, "red")),
            width=4,
        ),
        stat(
            "Spans dropped",
            "Spans that never reached the collector, in this time range. Traces have holes; chats are not harmed.",
            promql_now(f"sum(increase(otel_spans_dropped_total{HOST}[$__range]))"),
            unit="short",
            decimals=0,
            levels=thresholds("green", (0.5, "orange")),
            width=4,
        ),
    ),
)

workers = row(
    "Workers",
    line(
        7,
        timeseries(
            "Up, and meant",
            """On each machine. A reload doubles them for a while; if some stay away, the log says why they do not
            start.""",
            promql(f"count by (host) (app_workers{HOST})", "{{host}} up"),
            promql(f"max by (host) (app_workers{HOST})", "{{host}} meant"),
            unit="short",
            decimals=0,
        ),
        timeseries(
            "Chats running",
            "On each worker. They should be alike: one that has far more than the others holds on to old connections.",
            promql(f"chat_active_streams{HOST}", "{{instance}}"),
            unit="short",
        ),
        timeseries(
            "Draining",
            "1 while a worker finishes its last chats; new ones go to the others.",
            promql(f"chat_draining{HOST}", "{{instance}}"),
            unit="short",
            decimals=0,
        ),
    ),
)

process = row(
    "Event loop and process",
    line(
        7,
        timeseries(
            "Event loop lag, p99",
            "How late each loop wakes up. It is the first sign of too few workers, and of code that blocks.",
            promql(percentile(0.99, LAG, HOST, by="instance"), "{{instance}}"),
            unit="s",
            limit=0.1,
        ),
        timeseries(
            "CPU",
            "100 % is one core, and all that one worker can use.",
            promql(f"rate(process_cpu_seconds_total{HOST}[$__rate_interval]) {OURS}", "{{instance}}"),
            unit="percentunit",
        ),
        timeseries(
            "Memory",
            "Resident. It should level out; if it rises from day to day, something is kept that should go.",
            promql(f"process_resident_memory_bytes{HOST} {OURS}", "{{instance}}"),
            unit="bytes",
        ),
        timeseries(
            "Open files",
            "Sockets are files: two for each chat. If it does not come down with the chats, connections leak.",
            promql(f"process_open_fds{HOST} {OURS}", "{{instance}}"),
            unit="short",
        ),
    ),
)

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
            "Rows spooled",
            "On each machine's disk. It rises while the database is away, and should fall to 0 when it is back.",
            promql(f"sum by (host) (chat_log_spooled_rows{HOST})", "{{host}}"),
            unit="short",
        ),
    ),
    line(
        6,
        timeseries(
            "Spool filled",
            "By the fullest worker of each machine. At 100 % new chats are refused, so that none goes without a row.",
            promql(f"max by (host) (chat_log_spool_bytes{HOST} / chat_log_spool_limit_bytes{HOST})", "{{host}}"),
            unit="percentunit",
            width=12,
        ),
        timeseries(
            "Oldest spooled row",
            "How long ago its chat arrived. It is on one disk, and nowhere else.",
            promql(f"max by (host) (chat_log_spool_age_seconds{HOST})", "{{host}}"),
            unit="s",
            width=12,
        ),
    ),
    line(
        7,
        timeseries(
            "Lost on the way",
            "Commits and spool writes that failed, rows refused, spans that reached no collector: 0 is right.",
            promql(f"sum(increase(chat_log_commit_failures_total{HOST}[$__rate_interval]))", "commits failed"),
            promql(f"sum(increase(chat_log_rejected_rows_total{HOST}[$__rate_interval]))", "rows rejected"),
            promql(f"sum(increase(chat_log_spool_failures_total{HOST}[$__rate_interval]))", "spool writes failed"),
            promql(f"sum(increase(otel_spans_dropped_total{HOST}[$__rate_interval]))", "spans dropped"),
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

DASHBOARD = dashboard(
    "Workers",
    "The processes: who is there, how busy their loops are, whether rows get to the database.",
    well,
    workers,
    process,
    rows,
    variables=[label_variable("host", "Machine", "app_workers")],
)

"""The processes: who is there, how busy their loops are, whether rows get to the database."""

from builders.dashboard import dashboard, label_variable, line, row
from builders.panel import stat, thresholds, timeseries
from builders.query import percentile, promql, promql_now

from panels.workers_rows import HOST, rows

# Prometheus and Jaeger have process_* too: this keeps those of the workers.
OURS = f"and on (job, instance) app_workers{HOST}"
LAG = "event_loop_lag_seconds"

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
            "Rows in the outbox",
            "Rows on disk that wait for the database. They are safe there; look after the database.",
            promql_now(f"sum(max by (host) (chat_log_outbox_rows{HOST}))"),
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

DASHBOARD = dashboard(
    "Workers",
    "The processes: who is there, how busy their loops are, whether rows get to the database.",
    well,
    workers,
    process,
    rows,
    variables=[label_variable("host", "Machine", "app_workers")],
)

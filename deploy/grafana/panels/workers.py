"""Worker processes: how many run, event loops, CPU, memory and persistence of rows."""

from builders.dashboard import dashboard, label_variable, line, row
from builders.panel import stat, thresholds, timeseries
from builders.query import percentile, promql, promql_now

from panels.workers_rows import HOST, rows

# Prometheus and Jaeger export process_* too: this selects the workers' series.
OF_WORKERS = f"and on (job, instance) app_workers{HOST}"
OF_JOB = '{job="chat", host=~"$host"}'
LAG = "event_loop_lag_seconds"

health = row(
    "Worker health",
    line(
        4,
        stat(
            "Workers",
            """Workers that answer, those of them that can store rows, and workers expected by their machines. A machine
            that is down is in no number.""",
            promql_now(f"count(app_workers{HOST})", "up"),
            promql_now(f"sum(chat_ready{HOST})", "ready"),
            promql_now(f"sum(max by (host) (app_workers{HOST}))", "expected"),
            unit="short",
            width=5,
        ),
        stat(
            "Draining workers",
            "Workers that finish their running chats. Expected to be 0 within 30 s of a restart.",
            promql_now(f"sum(chat_draining{HOST})"),
            unit="short",
            levels=thresholds("green", (1, "yellow")),
            width=3,
        ),
        stat(
            "Highest event loop lag",
            "p99 of the slowest worker. Above 100 ms its streams are delayed: add workers, or find blocking code.",
            promql_now(f"max({percentile(0.99, LAG, HOST, by='instance')})"),
            unit="s",
            levels=thresholds("green", (0.025, "orange"), (0.1, "red")),
            width=4,
        ),
        stat(
            "Rows in the outbox",
            "Rows on disk that the database has not taken yet. If the value rises, check the database.",
            promql_now(f"sum(max by (host) (chat_log_outbox_rows{HOST}))"),
            unit="short",
            levels=thresholds("green", (1, "orange"), (1000, "red")),
            width=4,
        ),
        stat(
            "Rejected rows",
            "Rows in the outbox whose values the database rejected. python -m app outbox has the reasons.",
            promql_now(f"sum(max by (host) (chat_log_outbox_rejected_rows{HOST}))"),
            unit="short",
            decimals=0,
            levels=thresholds("green", (0.5, "red")),
            width=4,
        ),
        stat(
            "Dropped spans",
            "Spans that did not reach the collector, in this time range. Traces are incomplete, chats are not.",
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
            "Running and expected workers",
            """By machine. A reload doubles the running workers for a short time. If workers are missing, the log has
            the reason.""",
            promql(f"count by (host) (app_workers{HOST})", "{{host}} running"),
            promql(f"max by (host) (app_workers{HOST})", "{{host}} expected"),
            unit="short",
            decimals=0,
        ),
        timeseries(
            "Worker restarts",
            """New processes on the same metrics port, by machine. A deployment restarts each worker once; more are
            crashes. Counted over five minutes, which include the gap before a restart.""",
            promql(f"sum by (host) (changes(process_start_time_seconds{OF_JOB}[5m]))", "{{host}}"),
            unit="short",
            decimals=0,
            bars=True,
        ),
        timeseries(
            "Draining by worker",
            "1 while a worker finishes its running chats; new chats go to other workers.",
            promql(f"chat_draining{HOST}", "{{instance}}"),
            unit="short",
            decimals=0,
        ),
    ),
    line(
        7,
        timeseries(
            "Capacity used",
            """Of the worker with the highest value. At 100 % of the streams chats wait in the queue, at 100 % of the
            queue or of the request bodies they are refused. At 100 % of the connections commits wait.""",
            *(
                promql(f"max({used}{HOST} / {limit}{HOST})", name)
                for name, used, limit in (
                    ("streams", "chat_active_streams", "chat_active_streams_limit"),
                    ("queue", "chat_queued", "chat_queue_limit"),
                    ("request bodies", "chat_request_body_bytes", "chat_request_body_limit_bytes"),
                )
            ),
            promql(
                f'max(db_pool_connections{{host=~"$host", state="in_use"}} / ignoring (state) db_pool_size{HOST})',
                "database connections",
            ),
            unit="percentunit",
            limit=0.8,
            max=1,
            width=12,
        ),
        timeseries(
            "Active streams by worker",
            """Workers should have similar values. A worker with far more has more long-lived connections. `limit` is
            MAX_ACTIVE_STREAMS.""",
            promql(f"chat_active_streams{HOST}", "{{instance}}"),
            promql(f"max(chat_active_streams_limit{HOST})", "limit"),
            unit="short",
            colours={"limit": "red"},
            width=12,
        ),
    ),
)

process = row(
    "Event loop and process",
    line(
        7,
        timeseries(
            "Event loop lag, p99",
            "Delay of scheduled callbacks. High values indicate too few workers, or blocking code.",
            promql(percentile(0.99, LAG, HOST, by="instance"), "{{instance}}"),
            unit="s",
            limit=0.1,
        ),
        timeseries(
            "CPU usage",
            "100 % is one core, the most that one worker can use.",
            promql(f"rate(process_cpu_seconds_total{HOST}[$__rate_interval]) {OF_WORKERS}", "{{instance}}"),
            unit="percentunit",
        ),
        timeseries(
            "Memory usage",
            "Resident set size. A rise over several days indicates a leak.",
            promql(f"process_resident_memory_bytes{HOST} {OF_WORKERS}", "{{instance}}"),
            unit="bytes",
        ),
        timeseries(
            "Open file descriptors",
            "Two sockets for each running chat. If the value does not fall with the active streams, connections leak.",
            promql(f"process_open_fds{HOST} {OF_WORKERS}", "{{instance}}"),
            unit="short",
        ),
    ),
)

DASHBOARD = dashboard(
    "Workers",
    "Worker processes, event loops, CPU, memory, and persistence of rows.",
    health,
    workers,
    process,
    rows,
    variables=[label_variable("host", "Machine", "app_workers")],
)

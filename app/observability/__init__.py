"""What an operator sees. Everyone may call the probe; nothing here imports the rooms that do.

telemetry.py    all signals of a process: built with the app, running while it runs
probe.py        the narrow door: facts go in, nothing comes back
metrics.py      every metric: names, labels, buckets          metrics_server.py, loop_lag.py
tracing.py      the provider, and the way out                 spans.py, attributes.py, names.py, trace_context.py
logs.py         one pipe for every line                       lines.py: the wide line of a chat
trace_file.py   traces where there is no collector
"""

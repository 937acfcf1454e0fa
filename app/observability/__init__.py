"""Traces, metrics and logs. Nothing here imports the packages that use it.

telemetry.py        the facade: what happened goes in, nothing comes back
metrics.py          what is counted, and when           instruments.py, metrics_server.py
tracing.py          provider and export                 spans.py, attributes.py, trace_file.py
logs.py             one output for every line           log_output.py, log_format.py, log_events.py
conventions.py      names that several signals share
"""

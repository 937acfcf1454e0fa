"""Settings of the signals: metrics, traces and logs."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings

from app.core.setting_types import Count, Host, Seconds


class SignalSettings(BaseSettings):
    """Part of the Settings in config.py."""

    metrics_host: Host = "127.0.0.1"
    metrics_port: int = Field(default=9464, ge=0, le=65535)
    """Worker n serves its metrics on this port plus n."""
    metrics_timeout_s: Seconds = 10
    """How long one scrape may take, from its connection on: Prometheus' default timeout."""
    metrics_max_connections: Count = 16
    """Connections that a worker's metrics port accepts; each takes a thread. Several Prometheus servers need fewer."""
    trace_file: Path | None = None
    """The file for spans if there is no collector. `make run` uses data/traces.jsonl."""
    trace_flush_timeout_s: Seconds = 3
    """How long a stopping process may take to send its last spans."""
    log_format: Literal["auto", "console", "json"] = "auto"
    """`auto` is `console` on a terminal and `json` elsewhere."""
    log_queue_bytes: Count = 2**22
    """4 MiB of each process: 3,000 chats, about ten seconds of a worker at its busiest. A reader that restarts misses
    nothing."""
    log_flush_timeout_s: Seconds = 1
    """How long a process that ends waits for its last lines to be written. A reader that reads takes milliseconds; with
    TRACE_FLUSH_TIMEOUT_S it stays below the five seconds that a stop leaves for both."""
    log_refusals_per_s: Count = 10
    """Lines of one kind that clients without a valid key can cause: enough to see what happens and from where."""

"""The settings of metrics, traces and the log."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings

from app.core.setting_types import Count, Seconds


class SignalSettings(BaseSettings):
    """Part of the Settings, which stand in config.py."""

    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(default=9464, ge=0, le=65535)
    """Worker n listens on this port plus n."""
    metrics_timeout_s: Seconds = 10
    """For one request for metrics, from its connection on: as long as Prometheus waits for an answer by default."""
    metrics_max_connections: Count = 16
    """Of one worker: each of them is a thread. Several Prometheus servers and a person need fewer."""
    trace_file: Path | None = None
    """Where spans go if there is no collector; `make run` keeps the last ones in data/traces.jsonl."""
    trace_flush_timeout_s: Seconds = 3
    """How long a process that stops may take to send its last spans."""
    log_format: Literal["auto", "console", "json"] = "auto"
    """`auto` is for people on a terminal and JSON elsewhere."""
    log_queue_bytes: Count = 2**22
    """4 MiB of each process: 3,000 chats, about ten seconds of a worker at its busiest. A reader that restarts misses
    nothing."""
    log_flush_timeout_s: Seconds = 1
    """How long a process that ends waits for its last lines to be written. A reader that reads takes milliseconds; with
    TRACE_FLUSH_TIMEOUT_S it stays below the five seconds that a stop leaves for both."""
    log_refusals_per_s: Count = 10
    """Lines of one kind that callers without a valid key can cause: enough to see what happens and from where."""

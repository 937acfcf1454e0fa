"""The service as in production: gunicorn with workers."""

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.support.ports import free_port, free_ports
from tests.support.processes import PROJECT, program
from tests.support.scrape import answers, wait_until_answering
from tests.support.service import Service
from tests.support.waiting import wait_until


@dataclass(frozen=True)
class Workers(Service):
    """A running gunicorn. `metrics_base` is the first worker's port of metrics; those of the others follow it."""

    metrics_base: int
    count: int

    @property
    def ports(self) -> list[int]:
        """The ports of metrics that answer, of all that two generations of workers use."""
        every = range(self.metrics_base, self.metrics_base + 2 * self.count)
        return [port for port in every if answers(self.http, port)]

    def pid(self, port: int) -> int:
        """The pid of the worker that serves this port, from its log line."""
        assert self.program.line(lambda line: f'"port":{port},' in line)
        lines = [json.loads(line) for line in self.program.lines if '"metrics.served"' in line]
        pid: int = [line["pid"] for line in lines if line["port"] == port][-1]
        return pid

    def wait_for_pid(self, port: int, *, other_than: int) -> None:
        """Waits until another worker serves this port."""
        wait_until(lambda: self.pid(port) != other_than, f"no other worker serves port {port}")

    def kill(self, port: int, how: signal.Signals) -> None:
        """Sends a signal to the worker that serves this port."""
        os.kill(self.pid(port), how)

    def wait_for_ports(self, *ports: int, seconds: float = 30) -> None:
        """Waits until exactly these ports answer."""
        wait_until(lambda: self.ports == sorted(ports), f"others than {ports} answer", seconds)


@contextmanager
def serving(
    folder: Path,
    http: httpx2.Client,
    env: Mapping[str, str],
    *,
    database_url: str,
    workers: int = 2,
    app: str = "",
    show: Callable[[str], object] = print,
    apart: bool = False,
    stalled: bool = False,
    fresh: bool = False,
) -> Iterator[Workers]:
    """A gunicorn with the configuration of production, ready for requests. `app` replaces the application.

    Other options are those of `program`.
    """
    port, metrics_base = free_port(), free_ports(2 * workers)
    settings = {
        "PORT": str(port),
        "METRICS_PORT": str(metrics_base),
        "WEB_CONCURRENCY": str(workers),
        "DATABASE_URL": database_url,
        "HOME": str(folder),
        "DRAIN_DELAY_S": "0",
    }
    command = ["gunicorn", "--config", str(PROJECT / "deploy" / "gunicorn.conf.py"), *([app] if app else [])]
    with program(
        command,
        cwd=folder,
        env={**settings, **env},
        stop_with=signal.SIGTERM,
        show=show,
        apart=apart,
        stalled=stalled,
        fresh=fresh,
    ) as running:
        wait_until_answering(http, *range(metrics_base, metrics_base + workers))
        yield Workers(f"http://127.0.0.1:{port}", running, database_url, http, metrics_base, workers)

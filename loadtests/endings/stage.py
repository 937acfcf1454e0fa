"""The real things: PostgreSQL, a simulated Groq in a process of its own, a collector of spans, gunicorn."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil

from app.core.config import Settings
from app.db.migrate import upgrade
from loadtests.endings.endings import ENDINGS
from loadtests.endings.inside import Worker
from loadtests.endings.plan import SERVICE
from tests.support import postgres as postgres_server
from tests.support.otlp import Collector, collecting
from tests.support.processes import program
from tests.support.service import SimulatedGroq
from tests.support.serving import Workers, serving

APP = "loadtests.endings.app:create_app()"


@dataclass(frozen=True)
class Stage:
    """What a run looks at."""

    service: Workers
    worker: Worker
    groq: SimulatedGroq
    groq_process: psutil.Process
    collector: Collector

    def upstream(self) -> int:
        """Connections that Groq still holds; nobody else keeps one with it."""
        return sum(bool(each.raddr) for each in self.groq_process.net_connections("tcp"))


@contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """In a folder that other users can enter: PostgreSQL may run as one of them."""
    (folder / "spool").mkdir()
    with (
        httpx2.Client(timeout=30, trust_env=False, headers={"connection": "close"}) as http,
        postgres_server.running(folder) as postgres,
        program(["loadtests.endings.groq"], cwd=folder, show=lambda _: None) as simulator,
        collecting() as collector,
    ):
        upgrade(Settings(_env_file=None, database_url=postgres.url()))
        groq = SimulatedGroq(simulator.url(), http)
        groq.fail(*(ending.script for ending in ENDINGS))
        where = {
            "GROQ_BASE_URL": groq.url,
            "SPOOL_DIR": str(folder / "spool"),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        }
        log = (folder / "service.log").write_text
        with serving(
            folder, http, {**SERVICE, **where}, database_url=postgres.url(), workers=1, app=APP, show=log
        ) as service:
            yield Stage(service, Worker(service), groq, psutil.Process(simulator.pid), collector)

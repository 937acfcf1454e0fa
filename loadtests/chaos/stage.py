"""The real things: PostgreSQL, a simulated Groq in a process of its own, and gunicorn with two workers."""

import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from app.core.config import Settings
from app.db.migrate import upgrade
from loadtests.chaos.plan import SERVICE
from tests.support import postgres as postgres_server
from tests.support.postgres import Postgres
from tests.support.processes import program
from tests.support.service import SimulatedGroq
from tests.support.serving import Workers, serving

_LOOK_AGAIN_S = 0.2


@dataclass(frozen=True)
class Stage:
    """What outlives the service: database, Groq, and the folder that rows wait in. `apart`: no Ctrl-C reaches them."""

    folder: Path
    http: httpx2.Client
    postgres: Postgres
    groq: SimulatedGroq
    apart: bool = False

    @property
    def database_url(self) -> str:
        return self.postgres.url()

    @contextmanager
    def service(self, *, workers: int = 2, env: Mapping[str, str] = SERVICE) -> Iterator[Workers]:
        """What it prints goes to `service.log`."""
        where = {"GROQ_BASE_URL": self.groq.url, "SPOOL_DIR": str(self._spool), "GROQ_API_KEY": "any"}
        with serving(
            self.folder,
            self.http,
            {**where, **env},
            database_url=self.database_url,
            workers=workers,
            show=self._log,
            apart=self.apart,
        ) as running:
            yield running

    def unspooled(self) -> list[Path]:
        """Files with rows that have yet to reach the database."""
        return list(self._spool.glob("*.jsonl"))

    def unspool(self, patience_s: float) -> int:
        """Starts the service once more, until its spool is empty; returns its exit code."""
        with self.service() as workers:
            deadline = time.monotonic() + patience_s
            while self.unspooled() and time.monotonic() < deadline:
                time.sleep(_LOOK_AGAIN_S)
            return workers.program.stop(signal.SIGTERM)

    @property
    def _spool(self) -> Path:
        return self.folder / "spool"

    def _log(self, output: str) -> None:
        with (self.folder / "service.log").open("a") as log:
            log.write(output)


@contextmanager
def stage(folder: Path, *, apart: bool = False) -> Iterator[Stage]:
    """In a folder that other users can enter: PostgreSQL may run as one of them."""
    (folder / "spool").mkdir()
    with (
        httpx2.Client(timeout=30, trust_env=False) as http,
        postgres_server.running(folder) as postgres,
        program(["app.simulator", "--port", "0"], cwd=folder, show=lambda _: None, apart=apart) as simulator,
    ):
        upgrade(Settings(_env_file=None, database_url=postgres.url()))
        yield Stage(folder, http, postgres, SimulatedGroq(simulator.url(), http), apart)

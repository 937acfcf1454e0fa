"""Real parts on free ports: PostgreSQL, a simulated Groq in a process of its own, and the service under gunicorn."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from app.commands.migrate import upgrade
from app.core.config import Settings
from loadtests.harness import outbox
from tests.support import postgres as postgres_server
from tests.support.postgres import Postgres
from tests.support.processes import program
from tests.support.service import SimulatedGroq
from tests.support.serving import Workers, serving

_SIMULATOR = ("app.simulator", "--port", "0")


@dataclass(frozen=True)
class Environment:
    """What outlives the service. `apart`: no Ctrl-C on the terminal reaches the processes."""

    folder: Path
    http: httpx2.Client
    postgres: Postgres
    groq: SimulatedGroq
    groq_pid: int
    apart: bool

    @contextmanager
    def service(self, env: Mapping[str, str], *, workers: int, app: str = "") -> Iterator[Workers]:
        """By `make serve`'s command; `env` overrides its settings, `app` replaces the application.

        Its log is `service.log`.
        """
        own = {"GROQ_BASE_URL": self.groq.url, "GROQ_API_KEY": "any", **outbox.settings(self.folder)}
        with serving(
            self.folder,
            self.http,
            {**own, **env},
            database_url=self.postgres.url(),
            workers=workers,
            app=app,
            show=self._write_log,
            apart=self.apart,
        ) as running:
            yield running

    def _write_log(self, output: str) -> None:
        with (self.folder / "service.log").open("a") as log:
            log.write(output)


@contextmanager
def environment(
    folder: Path, *, simulator: Sequence[str] = _SIMULATOR, apart: bool = False, keep_alive: bool = True
) -> Iterator[Environment]:
    """In a folder that other users can enter: root runs PostgreSQL as one of them."""
    headers = {} if keep_alive else {"connection": "close"}
    with (
        httpx2.Client(timeout=30, trust_env=False, headers=headers) as http,
        postgres_server.running(folder) as postgres,
        program(list(simulator), cwd=folder, show=lambda _: None, apart=apart) as groq,
    ):
        upgrade(Settings(_env_file=None, database_url=postgres.url()))
        yield Environment(folder, http, postgres, SimulatedGroq(groq.url(), http), groq.pid, apart)

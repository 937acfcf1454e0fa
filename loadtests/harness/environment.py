"""Real parts on free ports: PostgreSQL, a simulated Groq in a process of its own, and the service under gunicorn."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from app.commands.migrate import upgrade
from app.core.config import Settings
from app.db.outbox_file import OutboxFile
from tests.support import postgres as postgres_server
from tests.support.postgres import Postgres
from tests.support.processes import program
from tests.support.service import SimulatedGroq, http_client
from tests.support.serving import Workers, serving


@dataclass(frozen=True)
class Environment:
    """What outlives the service."""

    folder: Path
    http: httpx2.Client
    postgres: Postgres
    groq: SimulatedGroq
    groq_pid: int

    @contextmanager
    def service(self, env: dict[str, str], *, workers: int, app: str = "") -> Iterator[Workers]:
        """By `make serve`'s command; `env` overrides its settings, `app` replaces the application."""
        own = {"GROQ_BASE_URL": self.groq.url, "GROQ_API_KEY": "any", "OUTBOX_DIR": str(self.folder / "outbox")}
        url = self.postgres.url()
        with (
            (self.folder / "service.log").open("a") as log,
            serving(
                self.folder,
                self.http,
                own | env,
                database_url=url,
                workers=workers,
                app=app,
                show=log.write,
                apart=True,
            ) as running,
        ):
            yield running

    def outbox_rows(self) -> int:
        """Rows that have yet to reach the database, those included that it rejected."""
        with closing(OutboxFile(self.folder / "outbox", database="")) as file:
            status = file.status()
        return status.rows + status.rejected_rows


@contextmanager
def environment(folder: Path, *, simulator: Sequence[str] = ("app.simulator", "--port", "0")) -> Iterator[Environment]:
    """In a folder that other users can then enter: root runs PostgreSQL as one of them.

    No Ctrl-C on the terminal reaches the processes: they are stopped by this one. Its client keeps no connection open.
    """
    folder.chmod(0o755)
    with (
        http_client(headers={"connection": "close"}) as http,
        postgres_server.running(folder) as postgres,
        program(list(simulator), cwd=folder, show=lambda _: None, apart=True) as groq,
    ):
        upgrade(Settings(_env_file=None, database_url=postgres.url()))
        yield Environment(folder, http, postgres, SimulatedGroq(groq.url(), http), groq.pid)

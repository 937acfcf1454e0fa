"""Two workers on PostgreSQL, as in production, and one process with short limits for requests."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.commands.migrate import upgrade
from app.core.config import Settings
from tests.serving.outage import ENV as OUTAGE_ENV
from tests.support import postgres as postgres_server
from tests.support.database import execute
from tests.support.otlp import Collector, collecting
from tests.support.postgres import Postgres
from tests.support.service import Service, SimulatedGroq, service_before
from tests.support.serving import Workers, serving
from tests.support.shared import SharedResources

ENV = {"GROQ_API_KEY": "test-key-of-groq", "DRAIN_TIMEOUT_S": "2", "CLIENT_WRITE_TIMEOUT_S": "3"}

_numbers = count(1)


@pytest.fixture
def chats_database(shared: SharedResources, tmp_path: Path) -> str:
    """A migrated database on PostgreSQL."""
    return shared.migrated_database("postgres", tmp_path)


StartWorkers = Callable[..., AbstractContextManager[Workers]]


@pytest.fixture
def start_workers(chats_database: str, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path) -> StartWorkers:
    """Starts workers with these settings, beside those that all have; the options are those of `serving`."""

    def start(settings: Mapping[str, str] | None = None, **options: Any) -> AbstractContextManager[Workers]:
        env = {**ENV, "GROQ_BASE_URL": groq.url, **(settings or {})}
        return serving(tmp_path, http, env, database_url=chats_database, **options)

    return start


@pytest.fixture
def workers(start_workers: StartWorkers) -> Iterator[Workers]:
    with start_workers() as running:
        yield running


@pytest.fixture(scope="session")
def strict_process(groq_process: SimulatedGroq, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    limits = {"HEADER_TIMEOUT_S": "0.5", "BODY_TIMEOUT_S": "1", "MAX_BODY_BYTES": "100000"}
    with service_before(groq_process, tmp_path_factory.mktemp("strict"), limits) as running:
        yield running


@pytest.fixture
def small_bodies(groq: SimulatedGroq, tmp_path: Path) -> Iterator[Service]:
    """A service that takes bodies of 100 kB in the default time."""
    with service_before(groq, tmp_path, {"MAX_BODY_BYTES": "100000"}) as running:
        yield running


@pytest.fixture
def strict(strict_process: Service, groq: SimulatedGroq) -> Iterator[Service]:
    """A service with short limits. After the test it must answer a chat, and have logged no exception."""
    groq.fail({"words": 1})
    yield strict_process
    groq.fail({"words": 1})
    assert strict_process.chat().done
    assert "Traceback" not in strict_process.program.output


@pytest.fixture(scope="module")
def breakable_postgres(shared: SharedResources) -> Iterator[Postgres]:
    """A server that tests may stop, freeze and fill."""
    with postgres_server.running(shared.open_folder("breakable")) as running:
        yield running


@pytest.fixture
def outage_database(breakable_postgres: Postgres) -> str:
    """A new migrated database on that server."""
    name = f"outage_{next(_numbers)}"
    execute(breakable_postgres.url(), f"CREATE DATABASE {name}")
    upgrade(Settings(_env_file=None, database_url=breakable_postgres.url(name)))
    return breakable_postgres.url(name)


@pytest.fixture
def outage_workers(outage_database: str, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path) -> Iterator[Workers]:
    """Two workers on that database, with a short commit timeout."""
    with serving(tmp_path, http, {**OUTAGE_ENV, "GROQ_BASE_URL": groq.url}, database_url=outage_database) as running:
        yield running


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running

"""What every test may ask for: a PostgreSQL, a fresh database, a simulated Groq, the service in front of both."""

import itertools
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx2
import hypothesis
import pytest

from app.core.config import Settings
from app.db.migrate import upgrade
from tests.support import postgres as postgres_server
from tests.support.database import execute
from tests.support.postgres import Postgres
from tests.support.processes import program
from tests.support.service import Service, SimulatedGroq, service_before

# How long an example takes says something of the machine, and nothing of the code.
hypothesis.settings.register_profile("project", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("project")

ENGINES = ["sqlite", "postgres"]
_numbers = itertools.count(1)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """One server for the whole run."""
    with postgres_server.running(open_folder(tmp_path_factory, "postgres")) as server:
        yield server


def open_folder(tmp_path_factory: pytest.TempPathFactory, name: str) -> Path:
    """A new one. pytest shuts other users out of its folders, and root runs PostgreSQL as one of them."""
    folder = tmp_path_factory.mktemp(name)
    for parent in (folder, folder.parent, folder.parent.parent):
        parent.chmod(stat.S_IMODE(parent.stat().st_mode) | 0o055)
    return folder


def fresh_database(engine: str, folder: Path, request: pytest.FixtureRequest) -> str:
    """The URL of an empty database."""
    if engine == "sqlite":
        return f"sqlite+aiosqlite:///{folder}/chats-{next(_numbers)}.db"
    server: Postgres = request.getfixturevalue("postgres")
    name = f"test_{next(_numbers)}"
    execute(server.url(), f"CREATE DATABASE {name}")
    return server.url(name)


@pytest.fixture(params=ENGINES)
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A URL; each test that asks for it runs on both engines."""
    return fresh_database(request.param, tmp_path, request)


@pytest.fixture
def database(empty_database: str) -> Settings:
    """Settings with a database that has been migrated; each test that asks for it runs on both engines."""
    settings = Settings(_env_file=None, database_url=empty_database)
    upgrade(settings)
    return settings


@pytest.fixture(scope="session")
def http() -> Iterator[httpx2.Client]:
    with httpx2.Client(timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
def groq_process(http: httpx2.Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedGroq]:
    with program(["app.simulator", "--port", "0"], cwd=tmp_path_factory.mktemp("simulator")) as running:
        yield SimulatedGroq(running.url(), http)


@pytest.fixture
def groq(groq_process: SimulatedGroq) -> Iterator[SimulatedGroq]:
    """A simulated Groq that is well; what a test scripts is forgotten after it."""
    groq_process.recover()
    yield groq_process
    groq_process.recover()


@pytest.fixture(scope="session", params=ENGINES)
def service_process(
    request: pytest.FixtureRequest,
    groq_process: SimulatedGroq,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    url = fresh_database(request.param, folder, request)
    settings = {
        "GROQ_RETRY_WAIT_S": "2",
        "CHAT_GAP_TIMEOUT_S": "2",
        "MAX_BODY_BYTES": "100000",
    }
    with service_before(groq_process, folder, settings, database_url=url) as running:
        yield running


@pytest.fixture
def service(service_process: Service, groq: SimulatedGroq) -> Service:
    """The service in a process of its own, with a Groq that is well; once on each engine."""
    return service_process

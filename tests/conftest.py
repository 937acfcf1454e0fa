"""Fixtures of all tests: a new database, a simulated Groq, and a service between them."""

import gc
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import hypothesis
import pytest
from fastapi import FastAPI

from app.core.config import Settings
from tests.support.processes import program
from tests.support.service import Service, SimulatedGroq, http_client, service_before
from tests.support.shared import SharedResources, shared_resources
from tests.support.starting import forking
from tests.support.virtual_time import VirtualClock

# The time of an example depends on the machine.
_EXAMPLES = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile("long", _EXAMPLES)
hypothesis.settings.register_profile("short", _EXAMPLES, max_examples=25)

ENGINES = ["sqlite", "postgres"]
SLOW = ("serving", "loadtests", "commands", "observability", "api", "fuzz", "deploy", "db")
SHARED = pytest.StashKey[SharedResources]()


def is_short(config: pytest.Config) -> bool:
    """Whether it is `make test`, without the long forms."""
    return "not long" in config.option.markexpr


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio"


@pytest.fixture
def virtual_clock(monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    """`time.monotonic`, and with it the event loop's clock."""
    clock = VirtualClock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


@pytest.fixture
def virtual_time(virtual_clock: VirtualClock) -> Any:
    """An `anyio_backend` whose event loops skip waiting: see `tests/support/virtual_time.py`."""
    return "asyncio", {"loop_factory": virtual_clock.event_loop}


@pytest.fixture
def create_app(monkeypatch: pytest.MonkeyPatch) -> Callable[[Settings], FastAPI]:
    """Builds the application in this process, and leaves logging alone.

    structlog's loggers cache their configuration when they are first used: tests that capture logs would fail later.
    """
    from app import main  # noqa: PLC0415 - it takes a second, which most tests need not wait for

    monkeypatch.setattr("app.main.logs.configure", lambda _: None)
    return main.create_app


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """More workers than cores: most tests wait for processes. Browsers and long forms use the cores themselves."""
    return (3 if is_short(config) else 2) * (os.cpu_count() or 1)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collects no garbage meanwhile: looking for it among the modules of all tests takes a third of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Runs slow files first, so that none is alone at the end; leaves a random order as it is."""
    if not config.pluginmanager.hasplugin("randomly"):
        items.sort(key=lambda item: [not item.nodeid.startswith(f"tests/{folder}/") for folder in SLOW])


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Hook of pytest-xdist: passes the shared folder to each worker."""
    node.workerinput["shared"] = str(node.config.stash[SHARED].folder)


def pytest_configure(config: pytest.Config) -> None:
    _forget_settings_of_the_developer()
    hypothesis.settings.load_profile("short" if is_short(config) else "long")
    if (given := getattr(config, "workerinput", None)) is not None:
        config.stash[SHARED] = SharedResources(Path(given["shared"]))
        return
    stack = ExitStack()
    config.stash[SHARED] = stack.enter_context(shared_resources())
    config.add_cleanup(stack.close)


def _forget_settings_of_the_developer() -> None:
    """Some tests build the service in this process: a real GROQ_API_KEY or a proxy must not reach it."""
    for name in list(os.environ):
        if name.lower() in Settings.model_fields or name.startswith("OTEL_") or name.lower().endswith("_proxy"):
            del os.environ[name]


@pytest.fixture(scope="session")
def shared(request: pytest.FixtureRequest) -> SharedResources:
    """The resources that all workers share: PostgreSQL, and templates of databases."""
    return request.config.stash[SHARED]


@pytest.fixture(params=ENGINES)
def empty_database(request: pytest.FixtureRequest, shared: SharedResources, tmp_path: Path) -> str:
    """The URL of a database without tables; tests run on both engines."""
    return shared.empty_database(request.param, tmp_path)


@pytest.fixture(params=ENGINES)
def database(request: pytest.FixtureRequest, shared: SharedResources, tmp_path: Path) -> Settings:
    """Settings with a migrated database; tests run on both engines."""
    return Settings(_env_file=None, database_url=shared.migrated_database(request.param, tmp_path))


@pytest.fixture(scope="session", autouse=True)
def _forking() -> Iterator[None]:
    """Forked programs start in a quarter of a second instead of one and a half."""
    with forking():
        yield


@pytest.fixture(scope="session")
def http() -> Iterator[httpx2.Client]:
    with http_client() as client:
        yield client


@pytest.fixture(scope="session")
def groq_process(http: httpx2.Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedGroq]:
    with program(["app.simulator", "--port", "0"], cwd=tmp_path_factory.mktemp("simulator")) as running:
        yield SimulatedGroq(running.url(), http)


@pytest.fixture
def groq(groq_process: SimulatedGroq) -> Iterator[SimulatedGroq]:
    """A simulated Groq without faults; those that a test scripts are removed after it."""
    groq_process.recover()
    yield groq_process
    groq_process.recover()


@contextmanager
def _service_on(
    engine: str, shared: SharedResources, groq: SimulatedGroq, factory: pytest.TempPathFactory
) -> Iterator[Service]:
    folder = factory.mktemp(f"service-{engine}")
    url = shared.migrated_database(engine, folder)
    settings = {
        "GROQ_RETRY_SLEEP_BUDGET_S": "2",
        "INTER_TOKEN_TIMEOUT_S": "2",
        "MAX_BODY_BYTES": "100000",
    }
    with service_before(groq, folder, settings, database_url=url) as running:
        yield running


@pytest.fixture(scope="session")
def service_on_sqlite(
    shared: SharedResources, groq_process: SimulatedGroq, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    with _service_on("sqlite", shared, groq_process, tmp_path_factory) as running:
        yield running


@pytest.fixture(scope="session")
def service_on_postgres(
    shared: SharedResources, groq_process: SimulatedGroq, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    with _service_on("postgres", shared, groq_process, tmp_path_factory) as running:
        yield running


@pytest.fixture(params=ENGINES)
def service(request: pytest.FixtureRequest, groq: SimulatedGroq) -> Service:
    """A service in its own process, with a Groq without faults; tests run on both engines.

    The session has one process for each engine. A parametrized session fixture would restart it in random order.
    """
    running: Service = request.getfixturevalue(f"service_on_{request.param}")
    return running

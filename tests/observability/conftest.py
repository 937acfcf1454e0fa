"""A service whose signals a test reads as an operator does: at a collector, at the metrics port, in the log."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import structlog
from opentelemetry.trace import use_span
from structlog.testing import capture_logs

from tests.observability.harness import Harness
from tests.support.otlp import Collector, collecting
from tests.support.ports import free_port
from tests.support.processes import program
from tests.support.service import Service, SimulatedGroq


@dataclass(frozen=True)
class Observed(Service):
    """A running service with its signals."""

    collector: Collector
    metrics_port: int


@pytest.fixture(scope="session")
def observed_process(
    groq_process: SimulatedGroq, http: httpx2.Client, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Observed]:
    folder: Path = tmp_path_factory.mktemp("observed")
    port = free_port()
    with collecting() as collector:
        env = {
            "GROQ_API_KEY": "test-key-of-groq",
            "GROQ_BASE_URL": groq_process.url,
            "PORT": "0",
            "METRICS_PORT": str(port),
            "GROQ_RETRY_SLEEP_BUDGET_S": "2",
            "INTER_TOKEN_TIMEOUT_S": "2",
            "CLIENT_WRITE_TIMEOUT_S": "1",
            **collector.env,
            "OTEL_SERVICE_NAME": "chat-under-test",
        }
        with program(["app"], cwd=folder, env=env) as running:
            url = f"sqlite+aiosqlite:///{folder}/data/chats.db"
            yield Observed(running.url(), running, url, http, collector, port)


@pytest.fixture
def observed(observed_process: Observed, groq: SimulatedGroq) -> Observed:
    """One worker, with a Groq without faults."""
    return observed_process


@pytest.fixture
def harness() -> Iterator[Harness]:
    harness = Harness()
    with use_span(harness.request):
        yield harness


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    structlog.reset_defaults()
    with capture_logs() as captured:
        yield captured

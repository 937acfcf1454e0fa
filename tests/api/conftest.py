"""A service with an API key and short timeouts, and OpenAI's client for it."""

from collections.abc import Iterator

import pytest
from openai import OpenAI

from tests.support.openai_client import KEY, OTHER_KEY, openai_client
from tests.support.service import Service, SimulatedGroq, service_before


@pytest.fixture(scope="session")
def compat_process(groq_process: SimulatedGroq, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("compat")
    settings = {
        "API_KEYS": f"me:{KEY},another:{OTHER_KEY}",
        "GROQ_RETRY_SLEEP_BUDGET_S": "0.5",
        "INTER_TOKEN_TIMEOUT_S": "1",
        "STREAM_KEEPALIVE_S": "0.2",
        "CLIENT_WRITE_TIMEOUT_S": "1",
        "CLIENT_BUFFER_BYTES": "4096",
    }
    with service_before(groq_process, folder, settings) as running:
        yield running


@pytest.fixture
def compat(compat_process: Service, groq: SimulatedGroq) -> Service:
    """The service, with a Groq without faults."""
    return compat_process


@pytest.fixture
def openai(compat: Service) -> Iterator[OpenAI]:
    """Without retries of its own, so that a test sees each response."""
    with openai_client(compat) as client:
        yield client

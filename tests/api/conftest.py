"""The service behind OpenAI's own client: it asks for a key, and loses patience soon."""

from collections.abc import Iterator

import pytest
from openai import OpenAI

from tests.support.drop_in import KEY, client_of
from tests.support.service import Service, SimulatedGroq, service_before


@pytest.fixture(scope="session")
def drop_in_process(groq_process: SimulatedGroq, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("drop-in")
    settings = {
        "API_KEYS": f"me:{KEY}",
        "GROQ_RETRY_SLEEP_BUDGET_S": "0.5",
        "INTER_TOKEN_TIMEOUT_S": "1",
        "STREAM_KEEPALIVE_S": "0.2",
        "CLIENT_WRITE_TIMEOUT_S": "1",
        "CLIENT_BUFFER_BYTES": "4096",
    }
    with service_before(groq_process, folder, settings) as running:
        yield running


@pytest.fixture
def drop_in(drop_in_process: Service, groq: SimulatedGroq) -> Service:
    """With a Groq that is well."""
    return drop_in_process


@pytest.fixture
def openai(drop_in: Service) -> Iterator[OpenAI]:
    """It does not try again by itself, so that a test sees each answer."""
    with client_of(drop_in) as client:
        yield client

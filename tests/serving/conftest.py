"""Two workers on PostgreSQL, as in production."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from app.core.config import Settings
from app.db.migrate import upgrade
from tests.conftest import fresh_database
from tests.support.service import SimulatedGroq
from tests.support.serving import Workers, serving

ENV = {"GROQ_API_KEY": "test-key-of-groq", "DRAIN_TIMEOUT_S": "1", "CLIENT_STALL_TIMEOUT_S": "3"}


@pytest.fixture
def chats_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A migrated database on PostgreSQL."""
    url = fresh_database("postgres", tmp_path, request)
    upgrade(Settings(_env_file=None, database_url=url))
    return url


@pytest.fixture
def workers(chats_database: str, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path) -> Iterator[Workers]:
    env = {**ENV, "GROQ_BASE_URL": groq.url}
    with serving(tmp_path, http, env, database_url=chats_database) as running:
        yield running

"""Quotas as a worker has them: in memory, or in a Redis of the test's own."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from app.core.config import Settings
from app.quota import create_quota
from app.quota.quota import Quota
from tests.support import redis as redis_server
from tests.support.redis import RedisServer


class Failures:
    """Records the operations that were not counted."""

    def __init__(self) -> None:
        self.operations: list[str] = []

    def quota_store_failed(self, operation: str) -> None:
        self.operations.append(operation)


@pytest.fixture
def failures() -> Failures:
    return Failures()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server.running(tmp_path) as server:
        yield server


@asynccontextmanager
async def worker(failures: Failures | None = None, **settings: Any) -> AsyncIterator[Quota]:
    """The quota of one worker with these settings."""
    async with create_quota(Settings.model_validate(settings), failures or Failures()) as quota:
        assert isinstance(quota, Quota)
        yield quota

"""Fixtures of the tests of rows."""

from collections.abc import AsyncIterator

import pytest

from app.core.config import Settings
from app.db import commits, replay
from app.db.engine import create_engine
from app.db.repositories.chat_log import ChatLogRepository


@pytest.fixture
def fast_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "_PING_INTERVAL_S", 0.01)
    monkeypatch.setattr(replay, "_INTERVAL_S", 0.01)
    monkeypatch.setattr(replay, "_MAX_PAUSE_S", 0.02)


@pytest.fixture
async def rows(database: Settings) -> AsyncIterator[ChatLogRepository]:
    """The queries on an empty table, once on each database."""
    engine = create_engine(database)
    yield ChatLogRepository(engine)
    await engine.dispose()

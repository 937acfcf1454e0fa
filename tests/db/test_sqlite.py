"""What SQLite needs beside PostgreSQL."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from app.core.config import Settings
from app.core.errors import NotRecorded
from app.db.engine import create_engine
from app.db.migrate import upgrade
from app.db.repositories.chat_log import ChatLogRepository
from app.db.writer import ChatLogWriter
from tests.db.watch import Watch
from tests.support.records import record


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(_env_file=None, database_url=f"sqlite:///{tmp_path}/chats.db", commit_timeout_s=1)
    upgrade(settings)
    return settings


async def test_a_commit_that_was_given_up_leaves_no_lock_behind(settings: Settings) -> None:
    """Somebody else holds the lock for longer than a commit may take; afterwards rows are kept again."""
    assert settings.embedded_database
    engine = create_engine(settings)
    async with ChatLogWriter(ChatLogRepository(engine), commit_timeout_s=1, max_rows=100, probe=Watch()) as log:
        for _ in range(3):
            other = sqlite3.connect(settings.embedded_database, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            waits = [log.add(record()) for _ in range(3)]
            await asyncio.sleep(1.2)
            other.execute("ROLLBACK")
            other.close()
            results = await asyncio.gather(*waits, return_exceptions=True)
            assert any(isinstance(result, NotRecorded) for result in results)
            await asyncio.wait_for(log.add(record()), 5)
    await engine.dispose()


async def test_a_commit_is_on_disk_when_it_returns(settings: Settings) -> None:
    engine = create_engine(settings)
    async with engine.connect() as connection:
        assert (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar() == "wal"
        assert (await connection.exec_driver_sql("PRAGMA synchronous")).scalar() == 2
    await engine.dispose()

"""What SQLite needs beside PostgreSQL."""

import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from app.core.config import Settings
from app.core.errors import PersistenceFailed
from app.core.record import StoredIn
from app.db.engine import create_engine
from app.db.repositories.chat_log import ChatLogRepository
from app.db.writer import ChatLogWriter
from tests.db.writers import running_writer
from tests.support.records import record
from tests.support.shared import SharedResources


@pytest.fixture
def settings(shared: SharedResources, tmp_path: Path) -> Settings:
    url = shared.migrated_database("sqlite", tmp_path)
    return Settings(_env_file=None, database_url=url, commit_timeout_s=0.1)  # a commit may take ten times as long


async def stored_in(log: ChatLogWriter) -> StoredIn | None:
    try:
        return await log.add(record())
    except PersistenceFailed:
        return None


async def test_cancelled_commit_leaves_no_lock(settings: Settings) -> None:
    """Another connection holds the lock for longer than a commit may take; later rows are stored."""
    assert settings.embedded_database
    engine = create_engine(settings)
    async with running_writer(ChatLogRepository(engine), None, timeout_s=1) as log:
        for _ in range(3):
            other = sqlite3.connect(settings.embedded_database, isolation_level=None, check_same_thread=False)
            # In a thread: the event loop has to roll back a commit that was cancelled just now.
            await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
            waits = [log.add(record()) for _ in range(3)]
            await asyncio.sleep(1.2)
            other.execute("ROLLBACK")
            other.close()
            assert any(
                isinstance(end, PersistenceFailed) for end in await asyncio.gather(*waits, return_exceptions=True)
            )
            async with asyncio.timeout(30):
                while await stored_in(log) is not StoredIn.DATABASE:  # a slow commit may fail, a locked one always does
                    await asyncio.sleep(0.1)
    await engine.dispose()


async def test_commit_is_on_disk_when_it_returns(settings: Settings) -> None:
    engine = create_engine(settings)
    async with engine.connect() as connection:
        assert (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar() == "wal"
        assert (await connection.exec_driver_sql("PRAGMA synchronous")).scalar() == 2
    await engine.dispose()


async def test_cancelled_close_ends_although_the_connection_is_stopped_meanwhile(settings: Settings) -> None:
    """As SQLAlchemy does it when a call is cancelled and then the event loop ends."""
    engine = create_engine(settings)
    connection = await engine.raw_connection()
    driver: Any = connection.driver_connection
    resume = threading.Event()
    await driver.create_function("pause", 0, lambda: resume.wait(10))
    slow = asyncio.ensure_future(driver.execute_fetchall("SELECT pause()"))
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(driver.close())
    await asyncio.sleep(0)
    driver.stop()
    closing.cancel()
    resume.set()
    _, waiting = await asyncio.wait([closing, slow], timeout=10)
    assert not waiting
    await asyncio.gather(closing, slow, return_exceptions=True)
    connection.invalidate()

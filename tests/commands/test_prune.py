"""`python -m app prune` deletes old chats."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from app.core.config import Settings
from app.db.engine import create_engine
from app.db.repositories.chat_log import ChatLogRepository
from tests.commands.conftest import RunInProcess
from tests.support.database import query
from tests.support.processes import run
from tests.support.records import record

MORE_THAN_A_BATCH = 2_500


def insert(database: Settings, *ages: timedelta) -> list[UUID]:
    """Inserts rows of these ages and returns their ids."""
    moments = [datetime.now(UTC) - age for age in ages]
    ids = [UUID(int=(int(at.timestamp() * 1000) << 80) + (7 << 76) + number) for number, at in enumerate(moments)]

    async def write() -> None:
        engine = create_engine(database)
        rows = [record(id=id_, created_at=at) for id_, at in zip(ids, moments, strict=True)]
        await ChatLogRepository(engine).insert(rows)
        await engine.dispose()

    asyncio.run(write())
    return ids


def prune(database: Settings, folder: Path, *arguments: str) -> tuple[int, str]:
    return run(["app", "prune", *arguments], cwd=folder, env={"DATABASE_URL": database.database_url.get_secret_value()})


def test_only_older_chats_are_deleted(database: Settings, tmp_path: Path) -> None:
    days = [91, 90.01, 89.99, 1, 0]
    ids = insert(database, *(timedelta(days=each) for each in days))
    code, output = prune(database, tmp_path, "--older-than", "90d")
    assert code == 0, output
    assert "deleted 2 chats from before" in output
    left = query(database.database_url.get_secret_value(), "SELECT id FROM chat_logs ORDER BY id")
    assert [str(row["id"]) for row in left] == sorted(str(each) for each in ids[2:])
    for age in ("90d", "9999w"):
        assert "deleted 0 chats" in prune(database, tmp_path, "--older-than", age)[1]


def test_more_than_one_batch_is_deleted(database: Settings, tmp_path: Path) -> None:
    insert(database, *[timedelta(hours=37)] * MORE_THAN_A_BATCH, timedelta(hours=35))
    _, output = prune(database, tmp_path, "--older-than", "36h")
    assert f"deleted {MORE_THAN_A_BATCH:,} chats" in output
    assert len(query(database.database_url.get_secret_value(), "SELECT id FROM chat_logs")) == 1


@pytest.mark.parametrize("age", ["", "90", "d", "0d", "-1d", "1.5d", "90days", "99999999w", "٣d"])
def test_invalid_age_is_refused(run_in_process: RunInProcess, tmp_path: Path, age: str) -> None:
    code, output = run_in_process("prune", "--older-than", age)
    assert code == 2
    assert "--older-than" in output
    assert not list(tmp_path.iterdir())


def test_missing_database_is_reported(tmp_path: Path) -> None:
    code, output = run(["app", "prune", "--older-than", "90d"], cwd=tmp_path)
    assert (code, output.count("\n")) == (1, 1), output
    assert not list(tmp_path.iterdir())

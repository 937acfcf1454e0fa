"""The commands of docs/operations/backup.md: a dump is restored, and the database then takes further rows once."""

import asyncio
import subprocess
from pathlib import Path
from uuid import UUID

from app.core.config import Settings
from app.core.record import ChatRecord
from app.db.engine import create_engine
from app.db.repositories.chat_log import ChatLogRepository
from tests.support.database import query
from tests.support.processes import run
from tests.support.records import record
from tests.support.shared import SharedResources

IDS = "SELECT id FROM chat_logs ORDER BY id"
BEFORE, AFTER = (UUID(f"01939000-0000-7000-8000-00000000000{number}") for number in (1, 2))


def insert(url: str, rows: list[ChatRecord]) -> None:
    async def write() -> None:
        engine = create_engine(Settings(_env_file=None, database_url=url))
        await ChatLogRepository(engine).insert(rows)
        await engine.dispose()

    asyncio.run(write())


def test_restored_dump_has_its_rows_and_takes_further_ones_once(shared: SharedResources, tmp_path: Path) -> None:
    server = shared.postgres()
    first, second = shared.migrated_database("postgres", tmp_path), shared.empty_database("postgres", tmp_path)
    insert(first, [record(id=BEFORE)])
    dump = str(tmp_path / "chats.dump")
    for program, *arguments in (
        ["pg_dump", "--format=custom", f"--file={dump}", libpq(first)],
        ["pg_restore", "--clean", "--if-exists", f"--dbname={libpq(second)}", dump],
    ):
        done = subprocess.run([server.binaries / program, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert [row["id"] for row in query(second, IDS)] == [BEFORE]
    assert run(["app", "migrate"], cwd=tmp_path, env={"DATABASE_URL": second})[0] == 0
    insert(second, [record(id=BEFORE), record(id=AFTER)])  # as the outbox does, which has both
    assert [row["id"] for row in query(second, IDS)] == [BEFORE, AFTER]


def libpq(url: str) -> str:
    return url.replace("postgresql+asyncpg", "postgresql")

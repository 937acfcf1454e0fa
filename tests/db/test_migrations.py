"""The migrations, on both databases."""

import asyncio
from pathlib import Path

import asyncpg
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.exc import DBAPIError

from app.core.config import Settings
from app.core.record import ChatRecord, without_content
from app.db.engine import create_engine
from app.db.repositories.chat_log import ChatLogRepository
from tests.support.database import execute, query
from tests.support.processes import PROJECT, run
from tests.support.records import record
from tests.support.shared import SharedResources


def config(url: str) -> Config:
    alembic = Config(PROJECT / "alembic.ini")
    alembic.attributes["settings"] = Settings(_env_file=None, database_url=url)
    return alembic


def test_upgrade_creates_the_models_and_downgrade_drops_everything(empty_database: str) -> None:
    command.upgrade(config(empty_database), "head")
    command.check(config(empty_database))
    assert query(empty_database, "SELECT * FROM chat_logs") == []
    command.downgrade(config(empty_database), "base")
    command.upgrade(config(empty_database), "head")
    assert query(empty_database, "SELECT * FROM chat_logs") == []


def test_rows_survive_every_downgrade_and_upgrade(empty_database: str) -> None:
    """From the newest version of the table to the first and back; before the first there is no table."""
    first = list(ScriptDirectory.from_config(config(empty_database)).walk_revisions())[-1].revision
    command.upgrade(config(empty_database), "head")
    asyncio.run(insert(empty_database, *[record() for _ in range(3)]))
    sql = "SELECT id, created_at, prompt, response FROM chat_logs ORDER BY id"
    before = query(empty_database, sql)
    for step in (command.downgrade, command.upgrade):
        step(config(empty_database), first if step is command.downgrade else "head")
        assert query(empty_database, sql) == before


def test_downgrade_replaces_null_texts_where_the_older_table_has_no_null(empty_database: str) -> None:
    command.upgrade(config(empty_database), "head")
    bare = without_content(record())
    asyncio.run(insert(empty_database, bare))
    command.downgrade(config(empty_database), "20261123_attempt_log")
    (row,) = query(empty_database, "SELECT * FROM chat_logs")
    assert (row["prompt"], row["messages"], row["response"], row["reasoning"]) == ("", "[]", "", None)
    command.upgrade(config(empty_database), "head")
    asyncio.run(insert(empty_database, without_content(record())))
    assert len(query(empty_database, "SELECT * FROM chat_logs")) == 2


def test_migration_that_waits_for_a_lock_fails_before_it_blocks_writers(
    shared: SharedResources, tmp_path: Path
) -> None:
    """Somebody reads for long; a DROP behind that would keep every INSERT behind itself."""
    url = shared.migrated_database("postgres", tmp_path)

    async def while_somebody_reads() -> None:
        reader = await asyncpg.connect(url.replace("+asyncpg", ""))
        async with reader.transaction():
            await reader.fetch("SELECT * FROM chat_logs")
            with pytest.raises(DBAPIError, match="lock timeout"):
                await asyncio.to_thread(command.downgrade, config(url), "base")
            await insert(url, record())
        await reader.close()

    asyncio.run(while_somebody_reads())
    assert len(query(url, "SELECT id FROM chat_logs")) == 1


def test_interrupted_migration_builds_only_the_indexes_that_are_missing(
    shared: SharedResources, tmp_path: Path
) -> None:
    url = shared.migrated_database("postgres", tmp_path)
    sql = """SELECT relname AS name, oid AS id, indisvalid AS valid FROM pg_index JOIN pg_class ON oid = indexrelid
             WHERE indrelid = 'chat_logs'::regclass ORDER BY 1"""
    before = query(url, sql)
    execute(url, "UPDATE alembic_version SET version_num = '20261129_stored_chats'")
    execute(url, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_chat_logs_model'::regclass")
    command.upgrade(config(url), "head")
    after = query(url, sql)
    assert all(index["valid"] for index in after)
    assert [index["name"] for index in after] == [index["name"] for index in before]
    rebuilt = {new["name"] for old, new in zip(before, after, strict=True) if old["id"] != new["id"]}
    assert rebuilt == {"ix_chat_logs_model"}


def test_index_may_take_longer_than_the_statement_timeout_of_the_database(
    shared: SharedResources, tmp_path: Path
) -> None:
    """It waits for a transaction that has begun before it."""
    url = shared.migrated_database("postgres", tmp_path)
    execute(url, "UPDATE alembic_version SET version_num = '20261129_stored_chats'")
    execute(url, "DROP INDEX ix_chat_logs_model")
    database = url.rpartition("/")[2]
    execute(url, f'ALTER DATABASE "{database}" SET statement_timeout = 500')

    async def while_somebody_reads() -> None:
        reader = await asyncpg.connect(url.replace("+asyncpg", ""), server_settings={"statement_timeout": "0"})
        async with reader.transaction():
            await reader.fetch("SELECT * FROM chat_logs")
            migrating = asyncio.create_task(asyncio.to_thread(command.upgrade, config(url), "head"))
            await reader.fetch("SELECT pg_sleep(1.5)")
        await migrating
        await reader.close()

    asyncio.run(while_somebody_reads())
    assert query(url, "SELECT 1 FROM pg_index WHERE indexrelid = 'ix_chat_logs_model'::regclass AND indisvalid")


async def insert(url: str, *rows: ChatRecord) -> None:
    engine = create_engine(Settings(_env_file=None, database_url=url))
    await ChatLogRepository(engine).insert(rows)
    await engine.dispose()


def test_second_migration_changes_nothing(empty_database: str, tmp_path: Path) -> None:
    for _ in range(2):
        code, output = run(["app", "migrate"], cwd=tmp_path, env={"DATABASE_URL": empty_database})
        assert code == 0, output
        assert output.endswith("is up to date\n")


def test_alembic_command_migrates_the_database(empty_database: str, tmp_path: Path) -> None:
    arguments = ["alembic", "-c", str(PROJECT / "alembic.ini"), "upgrade", "head"]
    code, output = run(arguments, cwd=tmp_path, env={"DATABASE_URL": empty_database})
    assert code == 0, output
    assert query(empty_database, "SELECT * FROM chat_logs") == []


def test_generated_sql_has_the_lock_timeout_too(tmp_path: Path) -> None:
    """`--sql` asks no database."""
    arguments = ["alembic", "-c", str(PROJECT / "alembic.ini"), "upgrade", "head", "--sql"]
    code, output = run(arguments, cwd=tmp_path, env={"DATABASE_URL": "postgresql://me@nowhere.invalid/chats"})
    assert code == 0, output
    assert output.find("SET statement_timeout = 0;") > 0
    assert 0 < output.find("SET lock_timeout = '2s';") < output.find("CREATE TABLE chat_logs")
    code, output = run(arguments, cwd=tmp_path, env={"DATABASE_URL": "sqlite:///chats.db"})
    assert (code, "lock_timeout" in output) == (0, False), output

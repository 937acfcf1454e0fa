"""The queries, on both databases."""

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from app.core.chat_query import ChatQuery
from app.core.config import Settings
from app.core.record import NO_COLUMNS
from app.db.engine import create_engine
from app.db.errors import CommitError, DatabaseUnavailable, RowsRejected
from app.db.models import ChatLog
from app.db.repositories.chat_log import ChatLogRepository
from tests.support.bodies import as_objects
from tests.support.database import execute, query
from tests.support.records import record
from tests.support.shared import SharedResources


async def plain_sql(database: Settings, sql: str, **parameters: Any) -> list[dict[str, Any]]:
    return await asyncio.to_thread(query, database.database_url.get_secret_value(), sql, **parameters)


async def everything(rows: ChatLogRepository) -> Sequence[Mapping[str, Any]]:
    return (await rows.page(ChatQuery(any_client=True, whole=True, limit=1000))).rows


def test_record_fields_are_the_columns() -> None:
    """But those that it says are none."""
    columns = {column.key for column in ChatLog.__table__.columns}
    assert {field.name for field in dataclasses.fields(record())} == columns | NO_COLUMNS
    assert not columns & NO_COLUMNS


async def test_inserted_row_is_read_unchanged(rows: ChatLogRepository) -> None:
    """Every column, with its type: the id, the time zone, JSON, money."""
    written = record()
    await rows.insert([written])
    read = await rows.find(written.id, client=written.client, messages=True)
    expected = {name: value for name, value in dataclasses.asdict(written).items() if name not in NO_COLUMNS}
    assert read == expected | {"messages": as_objects(written.messages), "has_content": True}


@pytest.fixture
def postgres_url(shared: SharedResources, tmp_path: Path) -> str:
    return shared.migrated_database("postgres", tmp_path)


async def test_insert_is_repeated_when_the_pooled_connection_was_closed(postgres_url: str) -> None:
    """As by a restart of PostgreSQL."""
    engine = create_engine(Settings(_env_file=None, database_url=postgres_url))
    rows = ChatLogRepository(engine)
    await rows.insert([record()])
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    ended = await asyncio.to_thread(query, postgres_url, f"SELECT pg_terminate_backend(pid) {others}")
    await rows.insert([record()])
    await engine.dispose()
    assert (len(ended), len(await asyncio.to_thread(query, postgres_url, "SELECT id FROM chat_logs"))) == (1, 2)


async def test_unknown_values_are_null(rows: ChatLogRepository, database: Settings) -> None:
    optional = [column.key for column in ChatLog.__table__.columns if column.nullable]
    await rows.insert([record(**dict.fromkeys(optional))])
    (row,) = await plain_sql(database, "SELECT * FROM chat_logs")
    assert all(row[name] is None for name in optional)


async def test_repeated_insert_stores_one_row(rows: ChatLogRepository) -> None:
    first, second = record(), record()
    await rows.insert([first])
    await rows.insert([dataclasses.replace(first, response="another"), second])
    read = await everything(rows)
    assert [row["id"] for row in read] == [second.id, first.id]
    assert read[1]["response"] == first.response


async def test_many_rows_are_inserted_together(rows: ChatLogRepository) -> None:
    written = [record() for _ in range(600)]
    await rows.insert(written)
    assert [row["id"] for row in await everything(rows)] == [each.id for each in reversed(written)]


async def test_rejected_row_raises_another_error_than_an_outage_and_inserts_none_of_its_batch(
    rows: ChatLogRepository, database: Settings
) -> None:
    for fault in ({"outcome": None}, {"attempts": 2**70}, {"params": {"x": object()}}):
        with pytest.raises(RowsRejected):
            await rows.insert([record(), record(**fault), record()])
    assert await everything(rows) == []
    nowhere = create_engine(Settings(_env_file=None, database_url="postgresql://me@127.0.0.1:1/db"))
    with pytest.raises(DatabaseUnavailable):
        await ChatLogRepository(nowhere).insert([record()])
    await plain_sql(database, "ALTER TABLE chat_logs RENAME TO elsewhere")
    with pytest.raises(DatabaseUnavailable):
        await rows.insert([record()])


async def test_text_that_no_database_can_store_is_replaced(rows: ChatLogRepository) -> None:
    written = record(response="a\x00b\ud800c", messages=[{"role": "user", "content": "\x00\udfff"}])
    await rows.insert([written.storable()])
    (row,) = await everything(rows)
    assert row["response"] == "a\ufffdb\ufffdc"
    assert row["messages"] == [{"role": "user", "content": "\ufffd\ufffd"}]


async def test_id_has_the_same_text_in_sql(rows: ChatLogRepository, database: Settings) -> None:
    written = record()
    await rows.insert([written])
    (row,) = await plain_sql(database, "SELECT id FROM chat_logs WHERE id = :id", id=str(written.id))
    assert str(row["id"]) == str(written.id)


async def test_error_messages_quote_no_texts_of_the_row(rows: ChatLogRepository) -> None:
    """What a driver says of a failed insert is logged; what people said to each other must not be."""
    with pytest.raises(RowsRejected) as caught:
        await rows.insert([record(prompt="a-word-of-mine", outcome=None)])
    assert "a-word-of-mine" not in str(caught.value)
    with pytest.raises(CommitError) as of_argument:
        await rows.insert([record(attempts=["a-word-of-mine"])])
    assert "a-word-of-mine" not in str(of_argument.value)


async def test_ping_fails_where_no_rows_can_be_inserted(rows: ChatLogRepository, database: Settings) -> None:
    await rows.ping()
    url = database.database_url.get_secret_value()
    if url.startswith("sqlite"):
        return  # it has no such state
    name = url.rpartition("/")[2]
    await asyncio.to_thread(execute, url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    engine = create_engine(database)
    with pytest.raises(Exception, match="read-only"):
        await ChatLogRepository(engine).ping()
    await engine.dispose()

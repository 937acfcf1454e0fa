"""The replay while the database fails: no row is lost, stored twice, or blocked by another one."""

import asyncio
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from app.core.record import ChatRecord, StoredIn
from app.db.errors import DatabaseUnavailable
from tests.db.events import RecordedEvents
from tests.db.writers import (
    DATABASE,
    GatedDatabase,
    fill_outbox,
    numbered,
    outbox_file,
    outbox_rows,
    prompts_in,
    running_writer,
    until_drained,
)
from tests.support.records import record
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("fast_replay")


def add_payload(folder: Path, row_id: str, payload: bytes) -> None:
    """What no version of the service writes."""
    statement = "INSERT INTO chat_logs (id, database, created_at, payload) VALUES (?, ?, 0, ?)"
    with closing(outbox_file(folder)) as file:
        file.run(lambda rows: rows.execute(statement, (row_id, DATABASE, payload)))


async def test_rows_of_a_dead_process_are_moved_and_invalid_ones_are_rejected(tmp_path: Path) -> None:
    """A payload that is no row and a row that the database refuses delay nothing else."""
    bad = record(prompt="poison")
    add_payload(tmp_path, "torn", b'{"torn')
    add_payload(tmp_path, "another's", msgspec.json.encode(record(prompt="other")))
    fill_outbox(tmp_path, [record(prompt="one"), bad, record(prompt="two")])
    rows, events = GatedDatabase(), RecordedEvents()
    async with running_writer(rows, tmp_path, events=events) as log:
        await until_drained(log)
        assert log.outbox_rows == 0
    assert sorted(rows.prompts) == ["one", "two"]
    assert events.rejected == 3
    rejected = {row["id"]: row["last_error"] for row in outbox_rows(tmp_path)}
    assert rejected.keys() == {str(bad.id), "torn", "another's"}
    assert rejected[str(bad.id)] == "refused for its data"


async def test_invalid_rows_alone_cause_no_commit(tmp_path: Path) -> None:
    add_payload(tmp_path, "torn", b'{"torn')
    rows, events = GatedDatabase(), RecordedEvents()
    async with running_writer(rows, tmp_path, events=events):
        await until(lambda: events.rejected == 1, "it is not rejected")
    assert rows.tries == 0


async def test_row_of_a_failed_commit_that_was_stored_all_the_same_is_stored_once(tmp_path: Path) -> None:
    rows, row = GatedDatabase(), record(prompt="once")
    rows.batches.append([row])
    rows.error = DatabaseUnavailable("it had committed, and the connection broke")
    async with running_writer(rows, tmp_path) as log:
        await log.add(row)
        rows.error = None
        await until_drained(log)
    assert rows.prompts == ["once"]


async def test_row_that_fails_every_commit_is_rejected_and_does_not_block_others(
    tmp_path: Path,
) -> None:
    """The database does not say that it is the row; that the others are taken says it."""
    bad = record(prompt="costly")
    written = [record(prompt="old") for _ in range(300)]
    written.insert(7, bad)
    fill_outbox(tmp_path, written)
    rows = GatedDatabase()
    insert = rows.insert

    async def unless_it_is_there(records: Sequence[ChatRecord]) -> None:
        if any(each.prompt == "costly" for each in records):
            raise DatabaseUnavailable("out of memory")
        await insert(records)

    rows.insert = unless_it_is_there  # type: ignore[method-assign]
    async with running_writer(rows, tmp_path) as log:
        async with asyncio.timeout(60):
            while log.outbox_rows:
                # Old rows send no new ones to the outbox.
                assert await log.add(record(prompt="new")) is StoredIn.DATABASE
                await asyncio.sleep(0.01)
    assert rows.prompts.count("old") == 300
    assert prompts_in(tmp_path, rejected=True) == ["costly"]


async def test_no_row_is_rejected_while_every_commit_fails(tmp_path: Path) -> None:
    fill_outbox(tmp_path, numbered(5))
    rows = GatedDatabase()
    rows.error = DatabaseUnavailable("its disk is full, and it answers a ping")
    async with running_writer(rows, tmp_path) as log:
        async with asyncio.timeout(60):
            while rows.tries < 40:
                await asyncio.sleep(0.01)
        assert prompts_in(tmp_path, rejected=True) == []
        rows.error = None
        await until_drained(log)
    assert sorted(rows.prompts) == ["0", "1", "2", "3", "4"]


async def test_batch_is_halved_while_its_commit_is_too_slow(tmp_path: Path) -> None:
    fill_outbox(tmp_path, numbered(100))
    rows = GatedDatabase()
    insert = rows.insert

    async def only_a_few(records: Sequence[ChatRecord]) -> None:
        if len(records) > 10:
            await asyncio.Event().wait()
        await insert(records)

    rows.insert = only_a_few  # type: ignore[method-assign]
    async with running_writer(rows, tmp_path, timeout_s=0.05) as log:
        await until_drained(log)
    assert len(rows.prompts) == 100

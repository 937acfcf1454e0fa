"""The group commit, over rows that the test lets through."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from app.core.errors import PersistenceFailed
from app.core.record import ChatRecord, StoredIn
from app.db.errors import DatabaseUnavailable
from tests.db.events import RecordedEvents
from tests.db.writers import GatedDatabase, outbox_rows, prompts_in, running_writer
from tests.support.records import record
from tests.support.waiting import until


async def test_single_row_is_committed_at_once(tmp_path: Path) -> None:
    rows = GatedDatabase()
    async with running_writer(rows, tmp_path) as log:
        await asyncio.wait_for(log.add(record()), 30)
        assert [len(batch) for batch in rows.batches] == [1]


async def test_row_is_not_durable_before_its_commit_returns(tmp_path: Path) -> None:
    rows = GatedDatabase()
    rows.gate.clear()
    async with running_writer(rows, tmp_path) as log:
        durable = log.add(record())
        await until(lambda: rows.tries == 1, "no commit begins")
        assert not durable.done()
        rows.gate.set()
        await asyncio.wait_for(durable, 1)


async def test_cancelled_wait_does_not_cancel_the_row(tmp_path: Path) -> None:
    rows = GatedDatabase()
    rows.gate.clear()
    async with running_writer(rows, tmp_path) as log:
        first, left = log.add(record()), log.add(record())
        left.cancel()
        rows.gate.set()
        await asyncio.wait_for(first, 1)
    assert sum(len(batch) for batch in rows.batches) == 2


async def test_row_is_in_the_outbox_before_it_counts_as_durable(tmp_path: Path) -> None:
    rows = GatedDatabase()
    rows.error = DatabaseUnavailable("the database is unavailable")
    async with running_writer(rows, tmp_path) as log:
        assert await log.add(record(prompt="one")) is StoredIn.OUTBOX
        assert prompts_in(tmp_path) == ["one"]
        assert not log.database_healthy
        assert await log.add(record(prompt="two")) is StoredIn.OUTBOX
        assert prompts_in(tmp_path) == ["one", "two"]
        assert log.outbox_rows == 2
    assert rows.tries == 1  # an unhealthy database is not tried first


async def test_rejected_row_goes_to_the_outbox_and_the_others_are_committed(tmp_path: Path) -> None:
    rows, events, bad = GatedDatabase(), RecordedEvents(), record(prompt="poison")
    async with running_writer(rows, tmp_path, events=events) as log:
        waits = [log.add(each) for each in (record(prompt="one"), bad, record(prompt="two"))]
        assert await asyncio.gather(*waits) == [StoredIn.DATABASE, StoredIn.REJECTED, StoredIn.DATABASE]
    assert rows.prompts == ["one", "two"]
    assert prompts_in(tmp_path, rejected=True) == ["poison"]
    ((row_id, error),) = outbox_rows(tmp_path, "id, last_error")
    assert (row_id, error) == (str(bad.id), "refused for its data")
    assert (events.rejected, events.outbox) == (1, [])


async def test_outage_rejects_no_row(tmp_path: Path) -> None:
    """Trying row by row would multiply the wait by the number of rows."""
    rows = GatedDatabase()
    rows.error = DatabaseUnavailable("the database is unavailable")
    async with running_writer(rows, tmp_path) as log:
        await asyncio.gather(*[log.add(record()) for _ in range(5)])
    assert rows.tries == 1


async def test_sqlite_as_the_database_has_no_outbox(tmp_path: Path) -> None:
    """Its rows are on the same disk: what that does not take is not accepted, and has no receipt."""
    rows = GatedDatabase()
    async with running_writer(rows, None) as log:
        assert await log.add(record()) is StoredIn.DATABASE
        assert log.free_bytes > 10**18
        with pytest.raises(PersistenceFailed):
            await log.add(record(prompt="poison"))
        rows.error = DatabaseUnavailable("locked")
        with pytest.raises(PersistenceFailed):
            await log.add(record())
        assert (log.free_bytes, log.outbox_rows) == (0, 0)


async def test_persistence_fails_only_when_neither_database_nor_disk_stores_the_row(tmp_path: Path) -> None:
    rows, events, no_folder = GatedDatabase(), RecordedEvents(), tmp_path / "file"
    no_folder.touch()
    async with running_writer(rows, no_folder, events=events) as log:
        assert log.free_bytes > 0
        assert await log.add(record()) is StoredIn.DATABASE
        rows.error = DatabaseUnavailable("the database is unavailable")
        with pytest.raises(PersistenceFailed):
            await log.add(record())
        assert log.free_bytes == 0
        rows.error = None
        assert await log.add(record()) is StoredIn.DATABASE  # both are tried before the chat fails
    assert (1, True) in events.outbox


async def test_cancelled_writer_fails_all_queued_rows(tmp_path: Path) -> None:
    """A second Ctrl-C cancels every task; a chat that waited for its row would hold the process up for ever."""
    rows = GatedDatabase()
    rows.gate.clear()
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(running_writer(rows, tmp_path))
        in_flight = log.add(record())
        await until(lambda: rows.tries == 1, "no commit begins")
        queued = log.add(record())
        assert log._task
        log._task.cancel()
        for wait in (in_flight, queued):
            with pytest.raises(PersistenceFailed):
                await asyncio.wait_for(wait, 1)
        log._task = None  # nobody is to wait for it


async def test_text_that_no_database_can_store_is_replaced(tmp_path: Path) -> None:
    rows = GatedDatabase()
    async with running_writer(rows, tmp_path) as log:
        await log.add(
            record(prompt="a\x00b\ud800", messages=Raw(b'[{"role": "user\\u0000"}]'), client_request_id="\x00")
        )
        rows.error = DatabaseUnavailable("the database is unavailable")
        assert await log.add(record(prompt="\ud83d\ude00 c\x00", response="\udfff")) is StoredIn.OUTBOX
    assert rows.prompts == ["a\ufffdb\ufffd"]
    assert prompts_in(tmp_path) == ["😀 c\ufffd"]


async def test_row_that_cannot_be_encoded_fails_alone(tmp_path: Path) -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    rows = GatedDatabase()
    async with running_writer(rows, tmp_path) as log:
        bad, good = log.add(record(tool_calls=deep)), log.add(record())
        with pytest.raises(PersistenceFailed):
            await bad
        assert await good is StoredIn.DATABASE


async def test_add_after_close_fails(tmp_path: Path) -> None:
    async with running_writer(GatedDatabase(), tmp_path) as log:
        pass
    with pytest.raises(PersistenceFailed):
        await asyncio.wait_for(log.add(record()), 30)


async def test_hanging_commit_times_out_and_its_slow_cancellation_delays_no_other(tmp_path: Path) -> None:
    """A connection that does not answer may take seconds to close; the chats have their answer before."""
    rows = GatedDatabase()
    given_up = asyncio.Event()

    async def insert(records: Sequence[ChatRecord]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await given_up.wait()

    rows.insert = insert  # type: ignore[method-assign]
    async with running_writer(rows, tmp_path, timeout_s=0.05) as log:
        assert await asyncio.wait_for(log.add(record()), 30) is StoredIn.OUTBOX
        given_up.set()


async def test_close_stores_queued_rows(tmp_path: Path) -> None:
    rows = GatedDatabase()
    rows.gate.clear()
    async with running_writer(rows, tmp_path) as log:
        waits = [log.add(record()) for _ in range(3)]
        asyncio.get_running_loop().call_later(0.02, rows.gate.set)
    assert all(wait.done() for wait in waits)
    assert sum(len(batch) for batch in rows.batches) == 3

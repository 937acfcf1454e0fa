"""The group commit, over rows that the test lets through."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import PersistenceFailed
from app.core.record import ChatRecord, StoredIn
from app.db.errors import DatabaseUnavailable
from tests.db.keeping import GatedRows, keeping, prompts_in, stored
from tests.db.watch import Watch
from tests.support.records import record
from tests.support.waiting import until


async def test_a_lone_row_is_committed_at_once(tmp_path: Path) -> None:
    rows = GatedRows()
    async with keeping(rows, tmp_path) as log:
        await asyncio.wait_for(log.add(record()), 1)
        assert [len(batch) for batch in rows.batches] == [1]


async def test_what_queues_during_a_commit_goes_into_the_next_one_together(tmp_path: Path) -> None:
    rows = GatedRows()
    rows.gate.clear()
    async with keeping(rows, tmp_path) as log:
        first = log.add(record())
        await until(lambda: rows.tries == 1, "no commit begins")
        others = [log.add(record()) for _ in range(7)]
        rows.gate.set()
        await asyncio.wait_for(asyncio.gather(first, *others), 1)
    assert [len(batch) for batch in rows.batches] == [1, 7]


async def test_a_commit_is_bounded_in_rows(tmp_path: Path) -> None:
    rows = GatedRows()
    async with keeping(rows, tmp_path, max_rows=3) as log:
        await asyncio.wait_for(asyncio.gather(*[log.add(record()) for _ in range(8)]), 1)
    assert [len(batch) for batch in rows.batches] == [3, 3, 2]


async def test_nobody_has_a_receipt_before_the_commit_is_over(tmp_path: Path) -> None:
    rows = GatedRows()
    rows.gate.clear()
    async with keeping(rows, tmp_path) as log:
        durable = log.add(record())
        await until(lambda: rows.tries == 1, "no commit begins")
        assert not durable.done()
        rows.gate.set()
        await asyncio.wait_for(durable, 1)


async def test_a_client_that_stops_waiting_does_not_take_its_row_along(tmp_path: Path) -> None:
    rows = GatedRows()
    rows.gate.clear()
    async with keeping(rows, tmp_path) as log:
        first, left = log.add(record()), log.add(record())
        left.cancel()
        rows.gate.set()
        await asyncio.wait_for(first, 1)
    assert sum(len(batch) for batch in rows.batches) == 2


async def test_a_row_that_the_database_does_not_take_is_on_the_disk_before_its_receipt(tmp_path: Path) -> None:
    rows = GatedRows()
    rows.error = DatabaseUnavailable("the database is away")
    async with keeping(rows, tmp_path) as log:
        assert await log.add(record(prompt="one")) is StoredIn.OUTBOX
        assert prompts_in(tmp_path) == ["one"]
        assert not log.database_healthy
        assert await log.add(record(prompt="two")) is StoredIn.OUTBOX
        assert prompts_in(tmp_path) == ["one", "two"]
        assert log.outbox_rows == 2
    assert rows.tries == 1  # nobody waits for what is known to be away


async def test_a_row_that_is_refused_takes_no_other_along_and_is_put_aside(tmp_path: Path) -> None:
    rows, watch, bad = GatedRows(), Watch(), record(prompt="poison")
    async with keeping(rows, tmp_path, watch=watch) as log:
        waits = [log.add(each) for each in (record(prompt="one"), bad, record(prompt="two"))]
        assert await asyncio.gather(*waits) == [StoredIn.DATABASE, StoredIn.REJECTED, StoredIn.DATABASE]
    assert rows.kept == ["one", "two"]
    assert prompts_in(tmp_path, rejected=True) == ["poison"]
    ((row_id, error),) = stored(tmp_path, "id, last_error")
    assert (row_id, error) == (str(bad.id), "refused for its data")
    assert (watch.rejected, watch.outbox) == (1, [])


async def test_a_commit_that_hangs_is_given_up(tmp_path: Path) -> None:
    rows = GatedRows()
    rows.gate.clear()
    async with keeping(rows, tmp_path, timeout_s=0.05) as log:
        assert await asyncio.wait_for(log.add(record()), 1) is StoredIn.OUTBOX


async def test_an_outage_is_not_taken_for_a_bad_row(tmp_path: Path) -> None:
    """Trying row by row would multiply the wait by the number of rows."""
    rows = GatedRows()
    rows.error = DatabaseUnavailable("the database is away")
    async with keeping(rows, tmp_path) as log:
        await asyncio.gather(*[log.add(record()) for _ in range(5)])
    assert rows.tries == 1


async def test_sqlite_as_the_database_has_no_outbox(tmp_path: Path) -> None:
    """Its rows are on the same disk: what that does not take is not accepted, and has no receipt."""
    rows = GatedRows()
    async with keeping(rows, None) as log:
        assert await log.add(record()) is StoredIn.DATABASE
        assert log.free_bytes > 10**18
        with pytest.raises(PersistenceFailed):
            await log.add(record(prompt="poison"))
        rows.error = DatabaseUnavailable("locked")
        with pytest.raises(PersistenceFailed):
            await log.add(record())
        assert (log.free_bytes, log.outbox_rows) == (0, 0)


async def test_without_a_disk_the_database_keeps_rows_and_without_both_nobody_gets_a_receipt(tmp_path: Path) -> None:
    rows, watch, no_folder = GatedRows(), Watch(), tmp_path / "file"
    no_folder.touch()
    async with keeping(rows, no_folder, watch=watch) as log:
        assert log.free_bytes > 0
        assert await log.add(record()) is StoredIn.DATABASE
        rows.error = DatabaseUnavailable("the database is away")
        with pytest.raises(PersistenceFailed):
            await log.add(record())
        assert log.free_bytes == 0
        rows.error = None
        assert await log.add(record()) is StoredIn.DATABASE  # both are asked before a chat is given up
    assert (1, True) in watch.outbox


async def test_a_writer_that_is_stopped_in_a_hurry_leaves_nobody_waiting(tmp_path: Path) -> None:
    """A second Ctrl-C cancels every task; a chat that waited for its row would hold the process up for ever."""
    rows = GatedRows()
    rows.gate.clear()
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(keeping(rows, tmp_path))
        in_flight = log.add(record())
        await until(lambda: rows.tries == 1, "no commit begins")
        queued = log.add(record())
        assert log._task
        log._task.cancel()
        for wait in (in_flight, queued):
            with pytest.raises(PersistenceFailed):
                await asyncio.wait_for(wait, 1)
        log._task = None  # nobody is to wait for it


async def test_text_that_no_database_stores_does_not_lose_the_row(tmp_path: Path) -> None:
    rows = GatedRows()
    async with keeping(rows, tmp_path) as log:
        await log.add(record(prompt="a\x00b\ud800", messages=[{"role": "user\udfff"}], client_request_id="\x00"))
        rows.error = DatabaseUnavailable("the database is away")
        assert await log.add(record(prompt="\ud83d\ude00 c\x00", response="\udfff")) is StoredIn.OUTBOX
    assert rows.kept == ["a\ufffdb\ufffd"]
    assert prompts_in(tmp_path) == ["😀 c\ufffd"]


async def test_a_row_that_nothing_can_write_takes_no_other_along(tmp_path: Path) -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    rows = GatedRows()
    async with keeping(rows, tmp_path) as log:
        bad, good = log.add(record(tool_calls=deep)), log.add(record())
        with pytest.raises(PersistenceFailed):
            await bad
        assert await good is StoredIn.DATABASE


async def test_after_closing_nothing_is_promised(tmp_path: Path) -> None:
    async with keeping(GatedRows(), tmp_path) as log:
        pass
    with pytest.raises(PersistenceFailed):
        await asyncio.wait_for(log.add(record()), 1)


async def test_a_driver_that_is_slow_to_give_up_holds_nobody_up(tmp_path: Path) -> None:
    """A connection that does not answer may take seconds to close; the chats have their answer before."""
    rows = GatedRows()
    given_up = asyncio.Event()

    async def insert(records: Sequence[ChatRecord]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await given_up.wait()

    rows.insert = insert  # type: ignore[method-assign]
    async with keeping(rows, tmp_path, timeout_s=0.05) as log:
        assert await asyncio.wait_for(log.add(record()), 1) is StoredIn.OUTBOX
        given_up.set()


async def test_closing_writes_what_is_queued(tmp_path: Path) -> None:
    rows = GatedRows()
    rows.gate.clear()
    async with keeping(rows, tmp_path) as log:
        waits = [log.add(record()) for _ in range(3)]
        asyncio.get_running_loop().call_later(0.02, rows.gate.set)
    assert all(wait.done() for wait in waits)
    assert sum(len(batch) for batch in rows.batches) == 3

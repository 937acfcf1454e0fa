"""The group commit, over rows that the test lets through."""

import asyncio
from collections.abc import Sequence

import pytest

from app.core.errors import NotRecorded
from app.core.record import ChatRecord
from app.db.errors import DatabaseAway, RowsRefused
from app.db.writer import ChatLogWriter
from tests.db.watch import Watch
from tests.support.records import record


class GatedRows:
    """Keeps batches; each insert waits at a gate, and fails if it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[ChatRecord]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.tries = 0

    async def insert(self, records: Sequence[ChatRecord]) -> None:
        self.tries += 1
        await self.gate.wait()
        if self.error:
            raise self.error
        if any(record.prompt == "poison" for record in records):
            raise RowsRefused("refused for its data")
        self.batches.append(list(records))

    async def ping(self) -> None:
        if self.error:
            raise self.error


def writer(rows: GatedRows, *, timeout_s: float = 2, max_rows: int = 100, watch: Watch | None = None) -> ChatLogWriter:
    return ChatLogWriter(rows, commit_timeout_s=timeout_s, max_rows=max_rows, probe=watch or Watch())


async def test_a_lone_row_is_committed_at_once() -> None:
    rows = GatedRows()
    async with writer(rows) as log:
        await asyncio.wait_for(log.add(record()), 1)
        assert [len(batch) for batch in rows.batches] == [1]


async def test_what_queues_during_a_commit_goes_into_the_next_one_together() -> None:
    rows = GatedRows()
    rows.gate.clear()
    async with writer(rows) as log:
        first = log.add(record())
        await asyncio.sleep(0.01)
        others = [log.add(record()) for _ in range(7)]
        rows.gate.set()
        await asyncio.wait_for(asyncio.gather(first, *others), 1)
    assert [len(batch) for batch in rows.batches] == [1, 7]


async def test_a_commit_is_bounded_in_rows() -> None:
    rows = GatedRows()
    async with writer(rows, max_rows=3) as log:
        await asyncio.wait_for(asyncio.gather(*[log.add(record()) for _ in range(8)]), 1)
    assert [len(batch) for batch in rows.batches] == [3, 3, 2]


async def test_nobody_has_a_receipt_before_the_commit_is_over() -> None:
    rows = GatedRows()
    rows.gate.clear()
    async with writer(rows) as log:
        durable = log.add(record())
        await asyncio.sleep(0.05)
        assert not durable.done()
        rows.gate.set()
        await asyncio.wait_for(durable, 1)


async def test_a_client_that_stops_waiting_does_not_take_its_row_along() -> None:
    rows = GatedRows()
    rows.gate.clear()
    async with writer(rows) as log:
        first, left = log.add(record()), log.add(record())
        left.cancel()
        rows.gate.set()
        await asyncio.wait_for(first, 1)
    assert sum(len(batch) for batch in rows.batches) == 2


async def test_a_commit_that_fails_gives_no_receipt_and_the_next_one_is_tried() -> None:
    rows = GatedRows()
    rows.error = DatabaseAway("the database is away")
    async with writer(rows) as log:
        with pytest.raises(NotRecorded) as lost:
            await log.add(record())
        assert isinstance(lost.value.__cause__, DatabaseAway)
        rows.error = None
        await log.add(record())
    assert len(rows.batches) == 1


async def test_a_row_that_is_refused_takes_no_other_along() -> None:
    rows = GatedRows()
    async with writer(rows) as log:
        waits = [log.add(record(prompt=prompt)) for prompt in ("one", "poison", "two")]
        outcomes = await asyncio.gather(*waits, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), NotRecorded, type(None)]
    assert [[record.prompt for record in batch] for batch in rows.batches] == [["one"], ["two"]]


async def test_a_commit_that_hangs_is_given_up() -> None:
    rows = GatedRows()
    rows.gate.clear()
    async with writer(rows, timeout_s=0.05) as log:
        with pytest.raises(NotRecorded):
            await asyncio.wait_for(log.add(record()), 1)


async def test_an_outage_is_not_taken_for_a_bad_row() -> None:
    """Trying row by row would multiply the wait by the number of rows."""
    rows = GatedRows()
    rows.error = DatabaseAway("the database is away")
    async with writer(rows) as log:
        await asyncio.gather(*[log.add(record()) for _ in range(5)], return_exceptions=True)
    assert rows.tries == 1


async def test_a_writer_that_is_stopped_in_a_hurry_leaves_nobody_waiting() -> None:
    """A second Ctrl-C cancels every task; a chat that waited for its row would hold the process up for ever."""
    rows = GatedRows()
    rows.gate.clear()
    log = writer(rows)
    await log.__aenter__()
    in_flight = log.add(record())
    await asyncio.sleep(0.01)
    queued = log.add(record())
    assert log._task
    log._task.cancel()
    for wait in (in_flight, queued):
        with pytest.raises(NotRecorded):
            await asyncio.wait_for(wait, 1)


async def test_after_closing_nothing_is_promised() -> None:
    async with writer(GatedRows()) as log:
        pass
    with pytest.raises(NotRecorded):
        await asyncio.wait_for(log.add(record()), 1)


async def test_a_driver_that_is_slow_to_give_up_holds_nobody_up() -> None:
    """A connection that does not answer may take seconds to close; the chats have their answer before."""
    rows = GatedRows()
    given_up = asyncio.Event()

    async def insert(records: Sequence[ChatRecord]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await given_up.wait()

    rows.insert = insert  # type: ignore[method-assign]
    async with writer(rows, timeout_s=0.05) as log:
        with pytest.raises(NotRecorded):
            await asyncio.wait_for(log.add(record()), 1)
        given_up.set()


async def test_closing_writes_what_is_queued() -> None:
    rows = GatedRows()
    rows.gate.clear()
    async with writer(rows) as log:
        waits = [log.add(record()) for _ in range(3)]
        asyncio.get_running_loop().call_later(0.02, rows.gate.set)
    assert all(wait.done() for wait in waits)
    assert sum(len(batch) for batch in rows.batches) == 3

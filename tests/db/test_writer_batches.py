"""Which rows share a commit."""

import asyncio
from pathlib import Path

from tests.db.writers import GatedDatabase, running_writer
from tests.support.records import record
from tests.support.waiting import until


async def test_rows_queued_during_a_commit_share_the_next_one(tmp_path: Path) -> None:
    rows = GatedDatabase()
    rows.gate.clear()
    async with running_writer(rows, tmp_path) as log:
        first = log.add(record())
        await until(lambda: rows.tries == 1, "no commit begins")
        others = [log.add(record()) for _ in range(7)]
        rows.gate.set()
        await asyncio.wait_for(asyncio.gather(first, *others), 1)
    assert [len(batch) for batch in rows.batches] == [1, 7]


async def test_commit_has_at_most_max_rows(tmp_path: Path) -> None:
    rows = GatedDatabase()
    async with running_writer(rows, tmp_path, max_rows=3) as log:
        await asyncio.wait_for(asyncio.gather(*[log.add(record()) for _ in range(8)]), 1)
    assert [len(batch) for batch in rows.batches] == [3, 3, 2]


async def test_a_commit_has_at_most_four_mebibytes_of_text_or_one_row(tmp_path: Path) -> None:
    """More would exceed the time limit of a commit on a slow database, and all of its rows would go to the outbox."""
    rows = GatedDatabase()
    rows.gate.clear()
    async with running_writer(rows, tmp_path) as log:
        first = log.add(record())
        await until(lambda: rows.tries == 1, "no commit has begun")
        sizes = (3, 3, 0.1, 6, 0.1)
        others = [log.add(record(response="x" * int(size * 2**20))) for size in sizes]
        rows.gate.set()
        await asyncio.gather(first, *others)
    assert [len(batch) for batch in rows.batches] == [1, 1, 2, 1, 1]

"""The outbox of one process: it never blocks the event loop, and it says whether the disk takes rows."""

import asyncio
import shutil
from multiprocessing import get_context
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.core.errors import PersistenceFailed
from app.db.errors import DatabaseUnavailable
from app.db.outbox import OutboxUnavailable
from app.db.reservations import Reservations
from tests.db.events import RecordedEvents
from tests.db.writers import GatedDatabase, full_disk, outbox, prompts_in, running_writer
from tests.support.records import record


def is_available(disk: object) -> bool:
    return bool(getattr(disk, "available"))  # noqa: B009 - mypy would remember what it was


async def test_stored_rows_reduce_the_free_space_and_are_reported(tmp_path: Path) -> None:
    events, row = RecordedEvents(), record()
    async with outbox(tmp_path, max_bytes=100_000, events=events) as disk:
        await disk.append([row, record()])
        assert disk.rows == 2
        assert disk.free_bytes(on_disk=False) == 100_000 - disk.used_bytes
        assert 0 < disk.free_bytes(on_disk=True) <= 100_000 - disk.used_bytes
        await disk.reject(record(), ValueError("no"))
        await disk.reject(str(row.id), ValueError("no"))
        await disk.refresh_status()
        assert (disk.status.rows, disk.status.rejected_rows) == (1, 2)
    assert (events.outbox, events.rejected) == ([(2, False)], 2)


async def test_reserved_bytes_are_no_longer_free(tmp_path: Path) -> None:
    async with outbox(tmp_path, max_bytes=10**6) as disk:
        free = disk.free_bytes(on_disk=False)
        disk.reserve(1000)
        assert disk.free_bytes(on_disk=False) == disk.free_bytes(on_disk=True) == free - 1000
        disk.reserve(-1000)
        assert disk.free_bytes(on_disk=False) == free


def test_reservations_count_for_all_forked_workers_until_their_worker_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Reservations, "_shared", None)
    Reservations.share()
    fork = get_context("fork")
    workers = [fork.Process(target=_reserve, args=(slot, 1000 * slot)) for slot in (1, 2)]
    for worker in workers:
        worker.start()
        worker.join()
    here = Reservations(0)
    here.add(10)
    assert (here.reserved_bytes, here.used_bytes) == (3010, 7)
    Reservations(2)  # its successor, or the master when a worker has died
    assert here.reserved_bytes == 1010


def _reserve(slot: int, row_bytes: int) -> None:
    worker = Reservations(slot)
    worker.add(row_bytes)
    worker.used_bytes = 7


async def test_outbox_recovers_when_the_disk_accepts_writes_again(tmp_path: Path) -> None:
    events = RecordedEvents()
    async with outbox(tmp_path, events=events) as disk:
        await disk.append([record(prompt="before")])
        with full_disk(100_000):
            with pytest.raises(OutboxUnavailable):
                await disk.append([record(prompt="x" * 10**6)])
            with pytest.raises(OutboxUnavailable):
                await disk.refresh_status()
            assert not is_available(disk)
            assert disk.free_bytes(on_disk=True) == 0
        await disk.refresh_status()
        assert is_available(disk)
        await disk.append([record(prompt="after")])
    assert prompts_in(tmp_path) == ["before", "after"]
    assert events.outbox == [(1, False), (1, True), (1, False)]


async def test_outbox_is_unavailable_where_its_folder_is_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "outbox"
    async with outbox(folder) as disk:
        shutil.rmtree(folder)
        folder.touch()
        with pytest.raises(OutboxUnavailable, match="exists"):
            await disk.append([record()])
        folder.unlink()
        await disk.append([record(prompt="here")])
    assert prompts_in(folder) == ["here"]


async def test_reserved_space_is_that_of_the_outbox(tmp_path: Path) -> None:
    async with running_writer(GatedDatabase(), tmp_path) as log:
        free = log.free_bytes
        log.reserve(1000)
        assert log.free_bytes == free - 1000
        log.reserve(-1000)
        assert log.free_bytes == free
    async with running_writer(GatedDatabase(), None) as log:
        log.reserve(1000)
        assert log.free_bytes > 10**18


async def test_a_refused_row_that_the_outbox_does_not_take_has_no_receipt(tmp_path: Path) -> None:
    no_folder, events = tmp_path / "file", RecordedEvents()
    no_folder.touch()
    async with running_writer(GatedDatabase(), no_folder, events=events) as log:
        with pytest.raises(PersistenceFailed):
            await asyncio.wait_for(log.add(record(prompt="poison")), 5)
    assert events.rejected == 0


async def test_a_row_that_cannot_be_encoded_is_logged_and_has_no_receipt(tmp_path: Path) -> None:
    rows = GatedDatabase()
    rows.error = DatabaseUnavailable("away")
    async with running_writer(rows, tmp_path) as log:
        with capture_logs() as lines, pytest.raises(PersistenceFailed):
            await asyncio.wait_for(log.add(record(params={"x": object()})), 5)
    assert [(line["rows"], line["exc_info"]) for line in lines if line["event"] == "chat_log.writer_failed"] == [
        (1, True)
    ]

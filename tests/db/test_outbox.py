"""The outbox of one process: it never blocks the event loop, and it says whether the disk takes rows."""

import asyncio
import shutil
import threading
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import BinaryIO

import pytest
from structlog.testing import capture_logs

from app.core.errors import PersistenceFailed
from app.core.record import StoredIn
from app.db.errors import DatabaseUnavailable
from app.db.outbox import OutboxUnavailable
from app.db.outbox_file import OutboxFile
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


async def test_hanging_disk_blocks_neither_the_event_loop_nor_the_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chat that waits for it has its answer in time, later ones at once; afterwards all is as before."""
    hung = threading.Event()
    append = OutboxFile.append

    def hang(*args: object, **kwargs: object) -> None:
        hung.wait(30)
        append(*args, **kwargs)  # type: ignore[arg-type]

    async with outbox(tmp_path, timeout_s=1) as disk:
        monkeypatch.setattr(OutboxFile, "append", hang)
        with pytest.raises(OutboxUnavailable, match="not answered"):
            await asyncio.wait_for(disk.append([record(prompt="first")]), 5)
        assert not is_available(disk)
        with pytest.raises(OutboxUnavailable, match="earlier call"):
            await disk.append([record(prompt="second")])
        hung.set()
        async with asyncio.timeout(60):
            while not is_available(disk):
                try:
                    await disk.append([record(prompt="third")])
                except OutboxUnavailable:
                    await asyncio.sleep(0.01)
    # The first row is stored although its client received an error; a third one that took too long is stored, too.
    assert set(prompts_in(tmp_path)) == {"first", "third"}


async def test_rows_are_committed_to_the_database_while_the_disk_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung = threading.Event()
    monkeypatch.setattr("tests.db.writers.OUTBOX_TIMEOUT_S", 0.1)
    monkeypatch.setattr(OutboxFile, "append", lambda *_, **__: hung.wait(30))
    rows = GatedDatabase()
    rows.error = DatabaseUnavailable("unavailable")
    async with running_writer(rows, tmp_path) as log:
        with pytest.raises(PersistenceFailed):
            await asyncio.wait_for(log.add(record()), 5)
        rows.error = None
        assert await asyncio.wait_for(log.add(record()), 5) is StoredIn.DATABASE
        hung.set()


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


async def test_a_call_that_waits_behind_one_that_hangs_is_not_made_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung, append = threading.Event(), OutboxFile.append

    def hang(*args: object, **kwargs: object) -> None:
        hung.wait(30)
        append(*args, **kwargs)  # type: ignore[arg-type]

    async with outbox(tmp_path, timeout_s=1) as disk:
        monkeypatch.setattr(OutboxFile, "append", hang)
        calls = [disk.append([record(prompt=prompt)]) for prompt in ("first", "second")]
        failures = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(each) for each in failures] == [OutboxUnavailable] * 2
        hung.set()
        async with asyncio.timeout(60):
            while not is_available(disk):
                await asyncio.sleep(0.01)
                with suppress(OutboxUnavailable):
                    await disk.refresh_status()
    assert prompts_in(tmp_path) == ["first"]


async def test_a_lock_that_was_taken_too_late_is_released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise no worker of the machine could move rows."""
    hung, replay_lock = threading.Event(), OutboxFile.replay_lock

    def hang(file: OutboxFile) -> BinaryIO | None:
        lock = replay_lock(file)
        hung.wait(30)
        return lock

    async with outbox(tmp_path, timeout_s=1) as disk:
        with monkeypatch.context() as patched:
            patched.setattr(OutboxFile, "replay_lock", hang)
            with pytest.raises(OutboxUnavailable):
                await disk.run(disk.file.replay_lock)
        hung.set()
        lock = None
        async with asyncio.timeout(60):
            while lock is None:
                await asyncio.sleep(0.01)
                with suppress(OutboxUnavailable):
                    lock = await disk.run(disk.file.replay_lock)
        lock.close()


async def test_a_row_that_cannot_be_encoded_is_logged_and_has_no_receipt(tmp_path: Path) -> None:
    rows = GatedDatabase()
    rows.error = DatabaseUnavailable("away")
    async with running_writer(rows, tmp_path) as log:
        with capture_logs() as lines, pytest.raises(PersistenceFailed):
            await asyncio.wait_for(log.add(record(params={"x": object()})), 5)
    assert [(line["rows"], line["exc_info"]) for line in lines if line["event"] == "chat_log.writer_failed"] == [
        (1, True)
    ]

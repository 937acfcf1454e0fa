"""The outbox on a disk that hangs: calls end at their timeout, and leave nothing behind."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from app.core.errors import PersistenceFailed
from app.core.record import StoredIn
from app.db.errors import DatabaseUnavailable
from app.db.outbox import OutboxUnavailable
from app.db.outbox_file import OutboxFile
from tests.db.writers import GatedDatabase, outbox, prompts_in, running_writer
from tests.support.records import record


def is_available(disk: object) -> bool:
    return bool(getattr(disk, "available"))  # noqa: B009 - mypy would remember what it was


@pytest.fixture
def hung(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Until it is set, no row is appended."""
    hung, append = threading.Event(), OutboxFile.append

    def hang(*args: Any, **kwargs: Any) -> None:
        hung.wait(30)
        append(*args, **kwargs)

    monkeypatch.setattr(OutboxFile, "append", hang)
    yield hung
    hung.set()


async def test_hanging_disk_blocks_neither_the_event_loop_nor_the_writer(tmp_path: Path, hung: threading.Event) -> None:
    """The chat that waits for it has its answer in time, later ones at once; afterwards all is as before."""
    async with outbox(tmp_path, timeout_s=1) as disk:
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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hung: threading.Event
) -> None:
    monkeypatch.setattr("tests.db.writers.OUTBOX_TIMEOUT_S", 0.1)
    rows = GatedDatabase()
    rows.error = DatabaseUnavailable("unavailable")
    async with running_writer(rows, tmp_path) as log:
        with pytest.raises(PersistenceFailed):
            await asyncio.wait_for(log.add(record()), 5)
        rows.error = None
        assert await asyncio.wait_for(log.add(record()), 5) is StoredIn.DATABASE
        hung.set()


async def test_a_call_that_waits_behind_one_that_hangs_is_not_made_later(tmp_path: Path, hung: threading.Event) -> None:
    async with outbox(tmp_path, timeout_s=1) as disk:
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

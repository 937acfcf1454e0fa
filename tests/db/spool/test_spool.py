"""The spool of one process: bounded, shared with those that died, and of use again after its disk was full."""

import asyncio
from pathlib import Path

import pytest

from app.db.spool import folder as folder_module
from app.db.spool.folder import Folder
from app.db.spool.segment import to_line
from app.db.spool.spool import Spool, SpoolBroken
from tests.db.keeping import prompts_in
from tests.db.spool.test_segment import full_disk
from tests.db.watch import Watch
from tests.support.records import record


def spool(path: Path, *, max_bytes: int = 10**9, watch: Watch | None = None) -> Spool:
    return Spool(path, max_bytes=max_bytes, probe=watch or Watch())


def is_broken(disk: Spool) -> bool:
    return disk.broken


async def test_what_is_spooled_takes_room_and_is_told(tmp_path: Path) -> None:
    watch, row = Watch(), record()
    async with spool(tmp_path, max_bytes=10_000, watch=watch) as disk:
        await disk.append([row, record()])
        assert disk.rows == 2
        assert disk.bytes == sum(path.stat().st_size for path in tmp_path.glob("*.jsonl"))
        assert disk.room == 10_000 - disk.bytes
        assert disk.age_s > 3600
        assert 0 < disk.room_on_disk <= disk.room
        await disk.reject(str(row.id), to_line(row), error=ValueError("no"))
        assert disk.room == 10_000 - disk.bytes < 10_000 - len(to_line(row))
    assert (watch.spooled, watch.rejected) == ([(2, False)], 1)


async def test_what_a_dead_process_left_is_taken_over_by_one_alone(tmp_path: Path) -> None:
    async with spool(tmp_path) as first:
        await first.append([record(prompt="left")])
    async with spool(tmp_path) as second, spool(tmp_path) as third:
        await second.look()
        await third.look()
        assert (second.rows, third.rows) == (1, 0)
        await third.append([record(prompt="mine")])
        await second.look()
        assert (second.rows, third.rows) == (1, 1)


async def test_what_cannot_be_opened_harms_nobody_else(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").mkdir()
    (tmp_path / "b.jsonl").write_bytes(to_line(record()))
    async with spool(tmp_path) as disk:
        await disk.look()
        await disk.look()
        assert (disk.rows, disk.broken) == (1, False)


async def test_of_many_leftovers_a_few_are_held_at_a_time(tmp_path: Path) -> None:
    """Each is an open file; there may be thousands, when somebody moves what was rejected back."""
    for number in range(200):
        (tmp_path / f"{number}.jsonl").write_bytes(to_line(record()))
    async with spool(tmp_path) as disk:
        await disk.look()
        assert disk.rows == 64
        await disk.look()
        assert disk.rows == 64


async def test_one_that_has_nothing_leaves_nothing(tmp_path: Path) -> None:
    async with spool(tmp_path / "deep" / "folder") as disk:
        assert not disk.broken
    assert list((tmp_path / "deep" / "folder").iterdir()) == []


async def test_after_a_write_that_failed_a_fresh_segment_is_used(tmp_path: Path) -> None:
    watch = Watch()
    async with spool(tmp_path, watch=watch) as disk:
        await disk.append([record(prompt="before")])
        with full_disk(disk.bytes + 10):
            with pytest.raises(SpoolBroken):
                await disk.append([record(prompt="too large " * 1000)])
            await disk.look()
            assert is_broken(disk)  # it has no room for a chat's row
        await disk.look()
        assert not is_broken(disk)
        await disk.append([record(prompt="after")])
        assert len(list(tmp_path.glob("*.jsonl"))) == 2
    assert prompts_in(tmp_path) == ["before", "after"]
    assert watch.spooled == [(1, False), (1, True), (1, False)]


async def test_a_folder_that_was_removed_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    async with spool(path) as disk:
        path.rmdir()
        with pytest.raises(SpoolBroken):
            await disk.append([record()])
        await disk.look()
        await disk.append([record(prompt="here")])
        assert prompts_in(path) == ["here"]


async def test_segments_are_of_a_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has been brought back is removed by the segment."""
    monkeypatch.setattr(folder_module, "_FULL_BYTES", 2000)
    async with spool(tmp_path) as disk:
        for _ in range(10):
            await disk.append([record()])
        assert len(list(tmp_path.glob("*.jsonl"))) > 2
        assert disk.rows == 10


async def test_writing_never_blocks_the_event_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk may take its time; streams go on meanwhile."""
    slow = asyncio.Event()
    loop = asyncio.get_running_loop()
    append = Folder.append

    def take_time(*args: object) -> None:
        asyncio.run_coroutine_threadsafe(slow.wait(), loop).result(10)  # would never end in the loop's own thread
        append(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(Folder, "append", take_time)
    async with spool(tmp_path) as disk:
        writing = asyncio.create_task(disk.append([record(prompt="slow")]))
        await asyncio.sleep(0.05)
        assert not writing.done()
        slow.set()
        await asyncio.wait_for(writing, 5)
    assert prompts_in(tmp_path) == ["slow"]

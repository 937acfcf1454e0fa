"""The way back: every row once, whatever was in the way."""

import asyncio
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import pytest

from app.core.record import ChatRecord, Kept
from app.db import availability
from app.db.errors import DatabaseAway
from app.db.spool import backlog, segment
from app.db.spool.segment import to_line
from app.db.writer import ChatLogWriter
from tests.db.keeping import GatedRows, keeping, prompts_in
from tests.db.watch import Watch
from tests.support.records import record


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(availability, "_ASK_AGAIN_S", 0.01)
    monkeypatch.setattr(backlog, "_LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(backlog, "_REST_AT_MOST_S", 0.02)
    monkeypatch.setattr(segment, "_STILL_COPIED_S", 0.3)


async def until_empty(log: ChatLogWriter, folder: Path) -> None:
    async with asyncio.timeout(10):
        while log.spooled_rows or not log.database_well or list(folder.glob("*.jsonl")):
            await asyncio.sleep(0.005)


async def test_rows_come_back_once_the_database_is_well_and_their_files_go(tmp_path: Path) -> None:
    rows = GatedRows()
    rows.error = DatabaseAway("away")
    async with keeping(rows, tmp_path) as log:
        for number in range(5):
            await log.add(record(prompt=f"{number}"))
        rows.error = None
        await until_empty(log, tmp_path)
        await log.add(record(prompt="later"))
    assert rows.kept == ["0", "1", "2", "3", "4", "later"]
    assert list(tmp_path.iterdir()) == []


async def test_what_a_dead_process_left_comes_back_at_the_next_start(tmp_path: Path) -> None:
    """A torn last line, a line that is no row and one that the database refuses are in nobody's way."""
    bad = record(prompt="poison")
    lines = [to_line(record(prompt="one")), b"no row\n", to_line(bad), to_line(record(prompt="two")), b'{"torn']
    (tmp_path / "left.jsonl").write_bytes(b"".join(lines))
    rows, watch = GatedRows(), Watch()
    async with keeping(rows, tmp_path, watch=watch) as log:
        await until_empty(log, tmp_path)
    assert rows.kept == ["one", "two"]
    assert watch.rejected == 2
    aside = {path.name: path.read_bytes() for path in (tmp_path / "rejected").iterdir()}
    assert aside == {f"{bad.id}.jsonl": lines[2], f"{sha256(lines[1]).hexdigest()}.jsonl": lines[1]}
    assert not list(tmp_path.glob("*.jsonl"))


async def test_a_row_that_was_put_aside_is_tried_again_where_somebody_moves_it_back(tmp_path: Path) -> None:
    rows = GatedRows()
    rows.error = DatabaseAway("away")
    (tmp_path / "rejected").mkdir()
    (tmp_path / "rejected" / "x.jsonl").write_bytes(to_line(record(prompt="mended")))
    async with keeping(rows, tmp_path) as log:
        await log.add(record())
        (tmp_path / "rejected" / "x.jsonl").rename(tmp_path / "x.jsonl")
        rows.error = None
        async with asyncio.timeout(5):
            while "mended" not in rows.kept:
                await asyncio.sleep(0.01)


async def test_a_commit_that_was_given_up_and_came_through_all_the_same_is_one_row(tmp_path: Path) -> None:
    rows, row = GatedRows(), record(prompt="once")
    rows.batches.append([row])
    rows.error = DatabaseAway("it had committed, and the connection broke")
    async with keeping(rows, tmp_path) as log:
        await log.add(row)
        rows.error = None
        await until_empty(log, tmp_path)
    assert rows.kept == ["once"]


async def test_an_outage_on_the_way_back_loses_and_doubles_nothing(tmp_path: Path) -> None:
    written = [record(prompt=f"{number}") for number in range(450)]
    (tmp_path / "left.jsonl").write_bytes(b"".join(map(to_line, written)))
    rows = GatedRows()
    insert, calls = rows.insert, 0

    async def now_and_then(records: Sequence[ChatRecord]) -> None:
        nonlocal calls
        calls += 1
        if calls in (2, 3):
            raise DatabaseAway("again")
        await insert(records)

    rows.insert = now_and_then  # type: ignore[method-assign]
    async with keeping(rows, tmp_path) as log:
        await until_empty(log, tmp_path)
    assert sorted(rows.kept, key=int) == [f"{number}" for number in range(450)]
    assert not list(tmp_path.glob("*.jsonl"))


async def test_live_rows_and_the_backlog_share_the_database(tmp_path: Path) -> None:
    (tmp_path / "left.jsonl").write_bytes(b"".join(to_line(record(prompt="old")) for _ in range(300)))
    rows = GatedRows()
    async with keeping(rows, tmp_path) as log:
        await asyncio.gather(*[log.add(record(prompt="new")) for _ in range(50)])
        await until_empty(log, tmp_path)
    assert (rows.kept.count("old"), rows.kept.count("new")) == (300, 50)


async def test_stopping_on_the_way_leaves_the_rest_to_the_next_one(tmp_path: Path) -> None:
    (tmp_path / "left.jsonl").write_bytes(b"".join(to_line(record(prompt=f"{n}")) for n in range(300)))
    rows = GatedRows()
    rows.gate.clear()
    async with keeping(rows, tmp_path):
        await asyncio.sleep(0.05)
    assert len(prompts_in(tmp_path)) == 300
    rows.gate.set()
    async with keeping(rows, tmp_path) as log:
        await until_empty(log, tmp_path)
    assert len(rows.kept) == len(set(rows.kept)) == 300


async def test_a_row_that_fails_every_commit_it_is_in_holds_up_no_other_and_is_put_aside_in_the_end(
    tmp_path: Path,
) -> None:
    """The database does not say that it is the row; that the others are taken says it."""
    bad = record(prompt="costly")
    written = [record(prompt="old") for _ in range(300)]
    written.insert(7, bad)
    (tmp_path / "left.jsonl").write_bytes(b"".join(map(to_line, written)))
    rows = GatedRows()
    insert = rows.insert

    async def unless_it_is_there(records: Sequence[ChatRecord]) -> None:
        if any(each.prompt == "costly" for each in records):
            raise DatabaseAway("out of memory")
        await insert(records)

    rows.insert = unless_it_is_there  # type: ignore[method-assign]
    async with keeping(rows, tmp_path) as log:
        async with asyncio.timeout(10):
            while not (tmp_path / "rejected" / f"{bad.id}.jsonl").exists():
                assert await log.add(record(prompt="new")) is Kept.DATABASE  # old rows are no reason to spool
                await asyncio.sleep(0.01)
        await until_empty(log, tmp_path)
    assert rows.kept.count("old") == 300


async def test_while_nothing_is_taken_no_row_is_put_aside(tmp_path: Path) -> None:
    written = [record(prompt=f"{number}") for number in range(5)]
    (tmp_path / "left.jsonl").write_bytes(b"".join(map(to_line, written)))
    rows = GatedRows()
    rows.error = DatabaseAway("its disk is full, and it answers a ping")
    async with keeping(rows, tmp_path) as log:
        async with asyncio.timeout(5):
            while rows.tries < 40:
                await asyncio.sleep(0.01)
        assert not (tmp_path / "rejected").exists()
        rows.error = None
        await until_empty(log, tmp_path)
    assert sorted(rows.kept) == ["0", "1", "2", "3", "4"]


async def test_a_commit_that_is_always_too_slow_is_made_smaller(tmp_path: Path) -> None:
    written = [record(prompt=f"{number}") for number in range(100)]
    (tmp_path / "left.jsonl").write_bytes(b"".join(map(to_line, written)))
    rows = GatedRows()
    insert = rows.insert

    async def only_a_few(records: Sequence[ChatRecord]) -> None:
        if len(records) > 10:
            await asyncio.Event().wait()
        await insert(records)

    rows.insert = only_a_few  # type: ignore[method-assign]
    async with keeping(rows, tmp_path, timeout_s=0.05) as log:
        await until_empty(log, tmp_path)
    assert len(rows.kept) == 100


async def test_a_file_that_is_still_copied_is_not_removed(tmp_path: Path) -> None:
    lines = [to_line(record(prompt=f"{number}")) for number in range(10)]
    rows = GatedRows()
    async with keeping(rows, tmp_path) as log:
        with (tmp_path / "copied.jsonl").open("wb", buffering=0) as file:
            for line in lines:
                file.write(line[:50])
                await asyncio.sleep(0.05)
                file.write(line[50:])
        await until_empty(log, tmp_path)
    assert rows.kept == [f"{number}" for number in range(10)]


async def test_resting_from_the_database_is_no_rest_from_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a worker leaves that dies meanwhile is taken over all the same."""
    monkeypatch.setattr(backlog, "_REST_AT_MOST_S", 60)
    monkeypatch.setattr(backlog, "_LOOK_EVERY_S", 0.05)
    (tmp_path / "left.jsonl").write_bytes(to_line(record()))
    rows = GatedRows()
    rows.error = DatabaseAway("it answers a ping")
    async with keeping(rows, tmp_path) as log, asyncio.timeout(10):
        while rows.tries < 6:
            await asyncio.sleep(0.01)
        (tmp_path / "later.jsonl").write_bytes(to_line(record()))
        while log.spooled_rows < 2:
            await asyncio.sleep(0.01)

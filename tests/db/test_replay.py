"""The way back: every row once, whatever was in the way."""

import asyncio
import signal
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from app.core.config import Settings
from app.core.record import ChatRecord, StoredIn
from app.db import availability, replay
from app.db.errors import DatabaseUnavailable
from app.db.writer import ChatLogWriter
from tests.db.keeping import DATABASE, GatedRows, keeping, leave, outbox_file, prompts_in, stored
from tests.db.test_outbox_file import child
from tests.db.watch import Watch
from tests.support.records import record
from tests.support.shared import SharedResources
from tests.support.waiting import until


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(availability, "_PING_INTERVAL_S", 0.01)
    monkeypatch.setattr(replay, "_INTERVAL_S", 0.01)
    monkeypatch.setattr(replay, "_MAX_PAUSE_S", 0.02)


async def until_drained(log: ChatLogWriter) -> None:
    async with asyncio.timeout(10):
        while log.outbox_rows or not log.database_healthy:
            await asyncio.sleep(0.005)


def numbered(count: int) -> list[ChatRecord]:
    return [record(prompt=f"{number}") for number in range(count)]


def leave_payload(folder: Path, row_id: str, payload: bytes) -> None:
    """What no version of the service writes."""
    statement = "INSERT INTO chat_logs (id, database, created_at, payload) VALUES (?, ?, 0, ?)"
    with closing(outbox_file(folder)) as file:
        file.run(lambda rows: rows.execute(statement, (row_id, DATABASE, payload)))


async def test_rows_come_back_once_the_database_is_available_and_nothing_of_them_is_left(tmp_path: Path) -> None:
    rows = GatedRows()
    rows.error = DatabaseUnavailable("away")
    async with keeping(rows, tmp_path) as log:
        for number in range(5):
            await log.add(record(prompt=f"number {number}"))
        rows.error = None
        await until_drained(log)
        await log.add(record(prompt="later"))
    assert rows.kept == [*(f"number {number}" for number in range(5)), "later"]
    assert not any(b"number" in path.read_bytes() for path in tmp_path.iterdir())


async def test_what_a_dead_process_left_comes_back_at_the_next_start(tmp_path: Path) -> None:
    """A payload that is no row and a row that the database refuses delay nothing else."""
    bad = record(prompt="poison")
    leave_payload(tmp_path, "torn", b'{"torn')
    leave_payload(tmp_path, "another's", msgspec.json.encode(record(prompt="other")))
    leave(tmp_path, [record(prompt="one"), bad, record(prompt="two")])
    rows, watch = GatedRows(), Watch()
    async with keeping(rows, tmp_path, watch=watch) as log:
        await until_drained(log)
        assert log.outbox_rows == 0
    assert sorted(rows.kept) == ["one", "two"]
    assert watch.rejected == 3
    rejected = {row["id"]: row["last_error"] for row in stored(tmp_path)}
    assert rejected.keys() == {str(bad.id), "torn", "another's"}
    assert rejected[str(bad.id)] == "refused for its data"


async def test_a_commit_that_was_given_up_and_came_through_all_the_same_is_one_row(tmp_path: Path) -> None:
    rows, row = GatedRows(), record(prompt="once")
    rows.batches.append([row])
    rows.error = DatabaseUnavailable("it had committed, and the connection broke")
    async with keeping(rows, tmp_path) as log:
        await log.add(row)
        rows.error = None
        await until_drained(log)
    assert rows.kept == ["once"]


async def test_an_outage_on_the_way_back_loses_and_doubles_nothing(tmp_path: Path) -> None:
    leave(tmp_path, numbered(450))
    rows = GatedRows()
    insert, calls = rows.insert, 0

    async def now_and_then(records: Sequence[ChatRecord]) -> None:
        nonlocal calls
        calls += 1
        if calls in (2, 3):
            raise DatabaseUnavailable("again")
        await insert(records)

    rows.insert = now_and_then  # type: ignore[method-assign]
    async with keeping(rows, tmp_path) as log:
        await until_drained(log)
    assert sorted(rows.kept, key=int) == [f"{number}" for number in range(450)]


async def test_live_rows_and_the_outbox_share_the_database(tmp_path: Path) -> None:
    leave(tmp_path, [record(prompt="old") for _ in range(300)])
    rows = GatedRows()
    async with keeping(rows, tmp_path) as log:
        await asyncio.gather(*[log.add(record(prompt="new")) for _ in range(50)])
        await until_drained(log)
    assert (rows.kept.count("old"), rows.kept.count("new")) == (300, 50)


async def test_stopping_on_the_way_leaves_the_rest_to_the_next_one(tmp_path: Path) -> None:
    leave(tmp_path, numbered(300))
    rows = GatedRows()
    rows.gate.clear()
    async with keeping(rows, tmp_path):
        await until(lambda: rows.tries == 1, "no commit begins")
    assert len(prompts_in(tmp_path)) == 300
    rows.gate.set()
    async with keeping(rows, tmp_path) as log:
        await until_drained(log)
    assert len(rows.kept) == len(set(rows.kept)) == 300


async def test_a_row_that_fails_every_commit_it_is_in_delays_no_other_and_is_rejected_in_the_end(
    tmp_path: Path,
) -> None:
    """The database does not say that it is the row; that the others are taken says it."""
    bad = record(prompt="costly")
    written = [record(prompt="old") for _ in range(300)]
    written.insert(7, bad)
    leave(tmp_path, written)
    rows = GatedRows()
    insert = rows.insert

    async def unless_it_is_there(records: Sequence[ChatRecord]) -> None:
        if any(each.prompt == "costly" for each in records):
            raise DatabaseUnavailable("out of memory")
        await insert(records)

    rows.insert = unless_it_is_there  # type: ignore[method-assign]
    async with keeping(rows, tmp_path) as log:
        async with asyncio.timeout(10):
            while log.outbox_rows:
                assert (
                    await log.add(record(prompt="new")) is StoredIn.DATABASE
                )  # old rows send no new ones to the outbox
                await asyncio.sleep(0.01)
    assert rows.kept.count("old") == 300
    assert prompts_in(tmp_path, rejected=True) == ["costly"]


async def test_while_nothing_is_taken_no_row_is_rejected(tmp_path: Path) -> None:
    leave(tmp_path, numbered(5))
    rows = GatedRows()
    rows.error = DatabaseUnavailable("its disk is full, and it answers a ping")
    async with keeping(rows, tmp_path) as log:
        async with asyncio.timeout(10):
            while rows.tries < 40:
                await asyncio.sleep(0.01)
        assert prompts_in(tmp_path, rejected=True) == []
        rows.error = None
        await until_drained(log)
    assert sorted(rows.kept) == ["0", "1", "2", "3", "4"]


async def test_a_commit_that_is_always_too_slow_is_made_smaller(tmp_path: Path) -> None:
    leave(tmp_path, numbered(100))
    rows = GatedRows()
    insert = rows.insert

    async def only_a_few(records: Sequence[ChatRecord]) -> None:
        if len(records) > 10:
            await asyncio.Event().wait()
        await insert(records)

    rows.insert = only_a_few  # type: ignore[method-assign]
    async with keeping(rows, tmp_path, timeout_s=0.05) as log:
        await until_drained(log)
    assert len(rows.kept) == 100


async def test_rows_for_another_database_do_not_go_into_this_one(tmp_path: Path) -> None:
    """Two services on one folder, each with its database."""
    other = "postgresql://other:5432/chats"
    mine, theirs = GatedRows(), GatedRows()
    mine.error = theirs.error = DatabaseUnavailable("away")
    async with keeping(mine, tmp_path) as here, keeping(theirs, tmp_path, database=other) as there:
        await here.add(record(prompt="mine"))
        await there.add(record(prompt="theirs"))
        mine.error = None
        await until(lambda: mine.kept == ["mine"], "it does not come back")
        await asyncio.sleep(0.05)
        assert (mine.kept, prompts_in(tmp_path)) == (["mine"], ["theirs"])
        theirs.error = None
        await until(lambda: theirs.kept == ["theirs"], "it does not come back")
    assert mine.kept == ["mine"]


async def test_one_worker_at_a_time_moves_rows(tmp_path: Path) -> None:
    leave(tmp_path, numbered(3))
    first, second = GatedRows(), GatedRows()
    first.gate.clear()
    async with keeping(first, tmp_path) as log:
        await until(lambda: first.tries == 1, "no commit begins")
        async with keeping(second, tmp_path):
            await asyncio.sleep(0.1)
        assert second.tries == 0
        first.gate.set()
        await until_drained(log)
    assert len(first.kept) == 3


REPLAYS = """
import asyncio, os, signal, sys
from pathlib import Path
from app.core.config import Settings
from app.db.engine import create_engine
from app.db.repositories.chat_log import ChatLogRepository
from tests.db.keeping import keeping

class Dies(ChatLogRepository):
    async def insert(self, records):
        await super().insert(records)
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    engine = create_engine(Settings(_env_file=None, database_url=sys.argv[2]))
    async with keeping(Dies(engine), Path(sys.argv[1])):
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
def database_url(shared: SharedResources, tmp_path: Path) -> str:
    return shared.migrated_database("sqlite", tmp_path)


async def test_killed_between_the_commit_and_the_deletion_each_row_is_there_once(
    database_url: str, tmp_path: Path
) -> None:
    folder, written = tmp_path / "outbox", numbered(450)
    leave(folder, written)
    for dead in range(3):
        process = child(REPLAYS, folder, database_url)
        await asyncio.to_thread(process.communicate, timeout=60)
        assert process.returncode == -signal.SIGKILL
        assert len(prompts_in(folder)) == 450, f"after {dead}: it dies before it deletes"
    database = Settings(_env_file=None, database_url=database_url).embedded_database
    assert database
    with closing(sqlite3.connect(database)) as connection:
        there = [row[0] for row in connection.execute("SELECT id FROM chat_logs")]
    assert sorted(there) == sorted(str(each.id) for each in written[:200])
    rows = GatedRows()
    rows.batches.append(written[:200])
    async with keeping(rows, folder) as log:
        await until_drained(log)
    assert sorted(rows.kept, key=int) == [f"{number}" for number in range(450)]


def test_a_row_of_an_earlier_version_is_decoded() -> None:
    chat = record()
    old = msgspec.json.encode(chat).replace(b'"upstream_request_id"', b'"groq_request_id"')
    assert replay.decode(old).upstream_request_id == chat.upstream_request_id == "req_1"

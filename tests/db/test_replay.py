"""The replay of the outbox: it moves every row to the database once."""

import asyncio
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from app.core.config import Settings
from app.db import replay
from app.db.errors import DatabaseUnavailable
from tests.db.writers import (
    GatedDatabase,
    child,
    fill_outbox,
    full_disk,
    numbered,
    prompts_in,
    running_writer,
    until_drained,
)
from tests.support.records import record
from tests.support.shared import SharedResources
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("fast_replay")


async def test_rows_move_to_the_database_when_it_is_available_and_leave_no_text_behind(tmp_path: Path) -> None:
    rows = GatedDatabase()
    rows.error = DatabaseUnavailable("unavailable")
    async with running_writer(rows, tmp_path) as log:
        for number in range(5):
            await log.add(record(prompt=f"number {number}"))
        rows.error = None
        await until_drained(log)
        await log.add(record(prompt="later"))
    assert rows.prompts == [*(f"number {number}" for number in range(5)), "later"]
    assert not any(b"number" in path.read_bytes() for path in tmp_path.iterdir())


async def test_rows_are_moved_from_a_full_disk(tmp_path: Path) -> None:
    """Also by a service that has started on it, so that its outbox has never been available."""
    fill_outbox(tmp_path, [record(prompt="waiting")])
    rows = GatedDatabase()
    with full_disk((tmp_path / "outbox.db").stat().st_size):
        async with running_writer(rows, tmp_path) as log:
            await until_drained(log)
    assert rows.prompts == ["waiting"]


async def test_live_rows_are_stored_during_the_replay(tmp_path: Path) -> None:
    fill_outbox(tmp_path, [record(prompt="old") for _ in range(300)])
    rows = GatedDatabase()
    async with running_writer(rows, tmp_path) as log:
        await asyncio.gather(*[log.add(record(prompt="new")) for _ in range(50)])
        await until_drained(log)
    assert (rows.prompts.count("old"), rows.prompts.count("new")) == (300, 50)


async def test_next_process_continues_a_stopped_replay(tmp_path: Path) -> None:
    fill_outbox(tmp_path, numbered(300))
    rows = GatedDatabase()
    rows.gate.clear()
    async with running_writer(rows, tmp_path):
        await until(lambda: rows.tries == 1, "no commit begins")
    assert len(prompts_in(tmp_path)) == 300
    rows.gate.set()
    async with running_writer(rows, tmp_path) as log:
        await until_drained(log)
    assert len(rows.prompts) == len(set(rows.prompts)) == 300


async def test_rows_for_another_database_are_not_moved(tmp_path: Path) -> None:
    """Two services on one folder, each with its database."""
    other = "postgresql://other:5432/chats"
    mine, theirs = GatedDatabase(), GatedDatabase()
    mine.error = theirs.error = DatabaseUnavailable("unavailable")
    async with running_writer(mine, tmp_path) as here, running_writer(theirs, tmp_path, database=other) as there:
        await here.add(record(prompt="mine"))
        await there.add(record(prompt="theirs"))
        mine.error = None
        await until(lambda: mine.prompts == ["mine"], "it does not come back")
        await asyncio.sleep(0.05)
        assert (mine.prompts, prompts_in(tmp_path)) == (["mine"], ["theirs"])
        theirs.error = None
        await until(lambda: theirs.prompts == ["theirs"], "it does not come back")
    assert mine.prompts == ["mine"]


async def test_one_worker_at_a_time_moves_rows(tmp_path: Path) -> None:
    fill_outbox(tmp_path, numbered(3))
    first, second = GatedDatabase(), GatedDatabase()
    first.gate.clear()
    async with running_writer(first, tmp_path) as log:
        await until(lambda: first.tries == 1, "no commit begins")
        async with running_writer(second, tmp_path):
            await asyncio.sleep(0.1)
        assert second.tries == 0
        first.gate.set()
        await until_drained(log)
    assert len(first.prompts) == 3


REPLAYS = """
import asyncio, os, signal, sys
from pathlib import Path
from app.core.config import Settings
from app.db.engine import create_engine
from app.db.repositories.chat_log import ChatLogRepository
from tests.db.writers import running_writer

class Dies(ChatLogRepository):
    async def insert(self, records):
        await super().insert(records)
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    engine = create_engine(Settings(_env_file=None, database_url=sys.argv[2]))
    async with running_writer(Dies(engine), Path(sys.argv[1])):
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
def database_url(shared: SharedResources, tmp_path: Path) -> str:
    return shared.migrated_database("sqlite", tmp_path)


async def test_kill_between_commit_and_deletion_stores_each_row_once(database_url: str, tmp_path: Path) -> None:
    folder, written = tmp_path / "outbox", numbered(450)
    fill_outbox(folder, written)
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
    rows = GatedDatabase()
    rows.batches.append(written[:200])
    async with running_writer(rows, folder) as log:
        await until_drained(log)
    assert sorted(rows.prompts, key=int) == [f"{number}" for number in range(450)]


def test_row_of_an_earlier_version_is_decoded() -> None:
    chat = record()
    old = msgspec.json.encode(chat).replace(b'"upstream_request_id"', b'"groq_request_id"')
    assert replay.decode(old).upstream_request_id == chat.upstream_request_id == "req_1"

"""Whether the database takes rows, with a database that the test breaks."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.core.config import Settings
from app.db import availability
from app.db.availability import Availability
from app.db.engine import create_engine
from app.db.repositories.chat_log import ChatLogRepository
from tests.support.database import execute


class Database:
    """Answers while it is well."""

    def __init__(self) -> None:
        self.well = True
        self.asked = 0

    async def ping(self) -> None:
        self.asked += 1
        if not self.well:
            raise ConnectionError("away")


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(availability, "_ASK_AGAIN_S", 0.01)


def is_well(state: Availability) -> bool:
    return state.well


async def until_well(state: Availability) -> None:
    async with asyncio.timeout(5):
        while not is_well(state):
            await asyncio.sleep(0.005)


async def test_it_is_well_until_a_commit_fails_and_again_once_it_answers() -> None:
    database = Database()
    state = Availability(database.ping)
    assert is_well(state)
    database.well = False
    state.lost()
    state.lost()
    assert not is_well(state)
    await asyncio.sleep(0.1)
    assert not is_well(state)
    assert database.asked > 1
    database.well = True
    await until_well(state)


async def test_what_answers_and_fails_again_is_given_more_and_more_time() -> None:
    """Each chat that is let in to find out is one that Groq is paid for."""
    database = Database()
    state = Availability(database.ping)
    loop = asyncio.get_running_loop()
    pauses = []
    for _ in range(4):
        began = loop.time()
        state.lost()
        await until_well(state)
        pauses.append(loop.time() - began)
    assert pauses == sorted(pauses)
    state.kept()
    state.lost()
    await until_well(state)
    assert database.asked == 5


async def test_it_asks_on_however_often_it_was_disappointed() -> None:
    state = Availability(Database().ping)
    state._relapses = 5000
    state.lost()
    await asyncio.sleep(0)
    assert state._recovering
    assert not state._recovering.done()
    await state.aclose()


async def test_it_stops_asking_when_it_is_closed() -> None:
    database = Database()
    database.well = False
    state = Availability(database.ping)
    state.lost()
    await state.aclose()
    asked = database.asked
    await asyncio.sleep(0.05)
    assert database.asked == asked


@pytest.fixture
async def rows(database: Settings) -> AsyncIterator[ChatLogRepository]:
    engine = create_engine(database)
    yield ChatLogRepository(engine)
    await engine.dispose()


async def test_a_database_that_answers_and_takes_no_rows_is_not_well(
    rows: ChatLogRepository, database: Settings
) -> None:
    await rows.ping()
    url = database.database_url.get_secret_value()
    if url.startswith("sqlite"):
        pytest.skip("SQLite has no such state")
    name = url.rpartition("/")[2]
    await asyncio.to_thread(execute, url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    engine = create_engine(database)
    with pytest.raises(Exception, match="read-only"):
        await ChatLogRepository(engine).ping()
    await engine.dispose()

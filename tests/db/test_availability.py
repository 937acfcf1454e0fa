"""Whether the database takes rows, with a database that the test breaks."""

import asyncio
from typing import Any

import pytest

from app.db.availability import Availability


class Database:
    """Answers while it is well."""

    def __init__(self) -> None:
        self.healthy = True
        self.asked = 0

    async def ping(self) -> None:
        self.asked += 1
        if not self.healthy:
            raise ConnectionError("away")


@pytest.fixture
def anyio_backend(virtual_time: Any) -> Any:
    return virtual_time


def is_well(state: Availability) -> bool:
    return state.healthy


async def until_well(state: Availability) -> None:
    async with asyncio.timeout(60):
        while not is_well(state):
            await asyncio.sleep(0.1)


async def test_it_is_well_until_a_commit_fails_and_again_once_it_answers() -> None:
    database = Database()
    state = Availability(database.ping)
    assert is_well(state)
    database.healthy = False
    state.on_failure()
    state.on_failure()
    assert not is_well(state)
    await asyncio.sleep(5)
    assert not is_well(state)
    assert database.asked > 1
    database.healthy = True
    await until_well(state)


async def test_what_answers_and_fails_again_is_given_more_and_more_time() -> None:
    """Each chat that is let in to find out is one that Groq is paid for."""
    database = Database()
    state = Availability(database.ping)
    loop = asyncio.get_running_loop()
    pauses = []
    for _ in range(8):
        began = loop.time()
        state.on_failure()
        await until_well(state)
        pauses.append(loop.time() - began)
    assert pauses == pytest.approx([0.5, 1, 2, 4, 8, 16, 16, 16], abs=0.15)  # it is looked at every 0.1 s
    state.on_success()
    state.on_failure()
    await until_well(state)
    assert database.asked == 9


async def test_it_asks_on_however_often_it_was_disappointed() -> None:
    state = Availability(Database().ping)
    state._failures_in_a_row = 5000
    state.on_failure()
    await asyncio.sleep(0)
    assert state._recovering
    assert not state._recovering.done()
    await state.aclose()


async def test_it_stops_asking_when_it_is_closed() -> None:
    database = Database()
    database.healthy = False
    state = Availability(database.ping)
    state.on_failure()
    await state.aclose()
    asked = database.asked
    await asyncio.sleep(60)
    assert database.asked == asked

"""Whether the database answers, asked by many, with a database that the test holds up."""

import asyncio
from typing import Any

import pytest

from app.core.ping import _FRESH_S, CachedPing


@pytest.fixture
def anyio_backend(virtual_time: Any) -> Any:
    return virtual_time


class Database:
    """Answers when it may, if it is well."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.well = True
        self.asked = 0

    async def ping(self) -> None:
        self.asked += 1
        await self.may_answer.wait()
        if not self.well:
            raise ConnectionError("away")


async def test_however_many_ask_at_once_the_database_is_asked_once() -> None:
    """Or they would take the connections that rows are written on."""
    database = Database()
    heart = CachedPing(database.ping)
    asking = [asyncio.ensure_future(heart.ok()) for _ in range(1000)]
    await asyncio.sleep(0.01)
    assert database.asked == 1
    database.may_answer.set()
    assert await asyncio.gather(*asking) == [True] * 1000
    assert await heart.ok()
    assert database.asked == 1


async def test_an_answer_is_good_for_a_while_and_not_for_ever() -> None:
    database = Database()
    database.may_answer.set()
    heart = CachedPing(database.ping)
    assert await heart.ok()
    database.well = False
    assert await heart.ok()
    await asyncio.sleep(_FRESH_S)
    assert not await heart.ok()
    database.well = True
    await asyncio.sleep(_FRESH_S)
    assert await heart.ok()


async def test_one_that_leaves_while_it_asks_leaves_the_question_to_the_next() -> None:
    database = Database()
    heart = CachedPing(database.ping)
    first, second = (asyncio.ensure_future(heart.ok()) for _ in range(2))
    await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.sleep(0.01)
    database.may_answer.set()
    assert await second


async def test_a_database_that_says_nothing_does_not_answer() -> None:
    assert not await CachedPing(Database().ping).ok()

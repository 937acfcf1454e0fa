"""What is told of chats may wait a moment, and is never lost to a stop."""

import asyncio

from app.observability.soon import Soon


async def test_work_is_done_together_in_the_order_it_came() -> None:
    soon, done = Soon(), list[int]()
    for number in range(3):
        soon(lambda number=number: done.append(number))  # type: ignore[misc]
    assert done == []
    await asyncio.sleep(0.2)
    assert done == [0, 1, 2]


async def test_what_is_left_is_done_at_the_end_and_only_once() -> None:
    soon, done = Soon(), list[str]()
    soon(lambda: done.append("once"))
    soon.run()
    assert done == ["once"]
    await asyncio.sleep(0.2)
    assert done == ["once"]


async def test_work_that_makes_work() -> None:
    soon, done = Soon(), list[str]()
    soon(lambda: soon(lambda: done.append("later")))
    await asyncio.sleep(0.3)
    assert done == ["later"]

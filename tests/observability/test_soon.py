"""What is told of chats may wait a moment, and is never lost to a stop."""

import asyncio
from contextvars import ContextVar

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
    soon.close()
    assert done == ["once"]
    await asyncio.sleep(0.2)
    assert done == ["once"]


async def test_what_comes_after_the_end_is_done_at_once() -> None:
    soon, done = Soon(), list[str]()
    soon.close()
    soon(lambda: done.append("at once"))
    assert done == ["at once"]


async def test_what_is_told_of_one_chat_does_not_carry_the_ids_of_another() -> None:
    chat: ContextVar[str] = ContextVar("chat", default="none")
    soon, seen = Soon(), list[str]()
    chat.set("mine")
    soon(lambda: seen.append(chat.get()))
    await asyncio.sleep(0.2)
    assert seen == ["none"]


async def test_others_get_their_turn_when_there_is_much_to_do() -> None:
    soon, order = Soon(), list[str]()
    soon(lambda: asyncio.get_running_loop().call_soon(order.append, "other"))  # type: ignore[arg-type]
    for _ in range(29):
        soon(lambda: order.append("work"))
    await asyncio.sleep(0.3)
    assert order.index("other") < 29
    assert order.count("work") == 29


async def test_work_that_makes_work() -> None:
    soon, done = Soon(), list[str]()
    soon(lambda: soon(lambda: done.append("later")))
    await asyncio.sleep(0.3)
    assert done == ["later"]

"""One question at a time, of something that does not give up when it is asked to."""

import asyncio

import pytest

from app.core import ping as module
from app.core.ping import Ping, cancel_until_done


class Stubborn:
    """Answers when it may; cancelled, it goes on until it may end. Each of its questions is counted."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.may_end = asyncio.Event()
        self.asked = 0

    async def __call__(self) -> None:
        self.asked += 1
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            await self.may_end.wait()
            raise


async def test_no_question_follows_one_that_has_not_ended() -> None:
    asked = Stubborn()
    ping = Ping(asked)
    loop = asyncio.get_running_loop()
    assert not await ping.answers(within_s=0.02)
    began = loop.time()
    assert [await ping.answers(within_s=60) for _ in range(100)] == [False] * 100
    assert loop.time() - began < 10
    assert asked.asked == 1
    asked.may_end.set()
    asked.may_answer.set()
    while not await ping.answers(within_s=5):
        await asyncio.sleep(0.01)
    assert asked.asked == 2


async def test_whoever_asks_meanwhile_gets_the_same_answer() -> None:
    asked = Stubborn()
    ping = Ping(asked)
    answers = [asyncio.ensure_future(ping.answers(within_s=5)) for _ in range(10)]
    await asyncio.sleep(0.01)
    answers.pop().cancel()  # it takes nobody else's answer along
    asked.may_answer.set()
    assert await asyncio.gather(*answers) == [True] * 9
    assert asked.asked == 1


async def test_an_error_is_no_answer() -> None:
    async def fail() -> None:
        raise ConnectionError("away")

    ping = Ping(fail)
    assert not await ping.answers(within_s=5)
    assert not await ping.answers(within_s=5)


async def test_it_can_be_stopped() -> None:
    asked = Stubborn()
    asked.may_end.set()
    ping = Ping(asked)
    ping.stop()
    answer = asyncio.ensure_future(ping.answers(within_s=60))
    await asyncio.sleep(0.01)
    ping.stop()
    assert not await answer


async def test_what_misses_its_cancellation_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AGAIN_S", 0.01)

    async def miss_one() -> None:
        for _ in range(2):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue

    task = asyncio.create_task(miss_one())
    await asyncio.sleep(0)
    cancel_until_done(task)
    async with asyncio.timeout(5):
        await task

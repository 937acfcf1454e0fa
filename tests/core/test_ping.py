"""Pings of a backend, with a fake one that delays its cancellation."""

import asyncio

from app.core.ping import Ping, cancel_until_done


class Backend:
    """Answers once `may_answer` is set. A cancelled ping ends once `may_end` is set. Counts its pings."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.may_end = asyncio.Event()
        self.pings = 0

    async def __call__(self) -> None:
        self.pings += 1
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            await self.may_end.wait()
            raise


async def test_no_ping_starts_before_the_cancelled_one_has_ended() -> None:
    backend = Backend()
    ping = Ping(backend)
    loop = asyncio.get_running_loop()
    assert not await ping.answers(within_s=1)
    began = loop.time()
    assert [await ping.answers(within_s=60) for _ in range(100)] == [False] * 100
    assert loop.time() == began
    assert backend.pings == 1
    backend.may_end.set()
    backend.may_answer.set()
    await asyncio.sleep(1)
    assert await ping.answers(within_s=5)
    assert backend.pings == 2


async def test_concurrent_callers_get_the_same_result() -> None:
    backend = Backend()
    ping = Ping(backend)
    answers = [asyncio.ensure_future(ping.answers(within_s=5)) for _ in range(10)]
    await asyncio.sleep(0.01)
    answers.pop().cancel()
    backend.may_answer.set()
    assert await asyncio.gather(*answers) == [True] * 9
    assert backend.pings == 1


async def test_exception_counts_as_no_answer() -> None:
    async def fail() -> None:
        raise ConnectionError("unavailable")

    ping = Ping(fail)
    assert not await ping.answers(within_s=5)
    assert not await ping.answers(within_s=5)


async def test_stop_cancels_the_running_ping() -> None:
    backend = Backend()
    backend.may_end.set()
    ping = Ping(backend)
    ping.stop()
    answer = asyncio.ensure_future(ping.answers(within_s=60))
    await asyncio.sleep(0.01)
    ping.stop()
    assert not await answer


async def test_lost_cancellation_is_repeated() -> None:
    async def miss_one() -> None:
        for _ in range(2):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue

    task = asyncio.create_task(miss_one())
    await asyncio.sleep(0)
    cancel_until_done(task)
    await asyncio.wait([task], timeout=5)
    assert task.done()


async def test_a_ping_that_does_not_end_is_cancelled_once_a_second_for_all_callers() -> None:
    may_end, cancelled = asyncio.Event(), 0

    async def stubborn() -> None:
        nonlocal cancelled
        while not may_end.is_set():
            try:
                await may_end.wait()
            except asyncio.CancelledError:
                cancelled += 1

    ping = Ping(stubborn)
    callers = []
    for _ in range(10):
        callers.append(asyncio.ensure_future(ping.answers(within_s=1)))
        await asyncio.sleep(0.05)
    answers = await asyncio.gather(*callers)
    await asyncio.sleep(3)
    may_end.set()
    assert (answers, cancelled) == ([False] * 10, 4)

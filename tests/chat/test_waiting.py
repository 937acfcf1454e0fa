"""A limit on many short waits."""

import asyncio
import time

import pytest

from app.chat.waiting import WaitLimit


async def test_a_wait_that_takes_too_long_is_a_timeout() -> None:
    limit = WaitLimit()
    with pytest.raises(TimeoutError), limit.of(0.02):
        await asyncio.sleep(5)


async def test_each_wait_has_a_limit_of_its_own() -> None:
    """Ten of them may take longer than one, and the last may be shorter than those before it."""
    limit, started = WaitLimit(), time.monotonic()
    for _ in range(10):
        with limit.of(0.1):
            await asyncio.sleep(0.02)
    assert time.monotonic() - started > 0.15
    with limit.of(30):
        await asyncio.sleep(0)
    with pytest.raises(TimeoutError), limit.of(0.02):
        await asyncio.sleep(5)
    with limit.of(0.2):
        await asyncio.sleep(0.05)


async def test_between_two_waits_nothing_is_cut_off() -> None:
    limit = WaitLimit()
    with limit.of(0.02):
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    with limit.of(0.5):
        await asyncio.sleep(0.03)


async def test_a_wait_can_be_ended_early_and_only_a_wait() -> None:
    limit = WaitLimit()
    limit.expire()
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.01, limit.expire)
    with pytest.raises(TimeoutError), limit.of(30):
        await asyncio.sleep(5)


async def test_whoever_else_cancels_the_task_is_not_taken_for_the_limit() -> None:
    async def wait() -> None:
        limit = WaitLimit()
        asyncio.get_running_loop().call_later(0.01, limit.expire)
        with limit.of(30):
            await asyncio.sleep(5)

    task = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.01, task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_a_task_goes_on_unharmed_after_a_timeout() -> None:
    limit = WaitLimit()
    with pytest.raises(TimeoutError), limit.of(0.01):
        await asyncio.sleep(5)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    async with asyncio.timeout(5):
        await asyncio.sleep(0.01)

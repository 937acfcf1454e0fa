"""One reusable timer for many short waits."""

import asyncio
import time

import pytest

from app.services.chat.timeouts import ReusableTimeout


async def test_a_wait_beyond_the_limit_raises_timeout_error() -> None:
    timeout = ReusableTimeout()
    with pytest.raises(TimeoutError), timeout.limit(0.02):
        await asyncio.sleep(5)


async def test_each_wait_has_its_own_limit() -> None:
    """Ten waits may take longer than one limit, and the next may have a shorter one."""
    timeout, started = ReusableTimeout(), time.monotonic()
    for _ in range(10):
        with timeout.limit(0.1):
            await asyncio.sleep(0.02)
    assert time.monotonic() - started > 0.15
    with timeout.limit(30):
        await asyncio.sleep(0)
    with pytest.raises(TimeoutError), timeout.limit(0.02):
        await asyncio.sleep(5)
    with timeout.limit(0.2):
        await asyncio.sleep(0.05)


async def test_no_timeout_between_two_waits() -> None:
    timeout = ReusableTimeout()
    with timeout.limit(0.02):
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    with timeout.limit(0.5):
        await asyncio.sleep(0.03)


async def test_expire_ends_only_a_current_wait() -> None:
    timeout = ReusableTimeout()
    timeout.expire()
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.01, timeout.expire)
    with pytest.raises(TimeoutError), timeout.limit(30):
        await asyncio.sleep(5)


async def test_another_cancellation_is_not_a_timeout() -> None:
    async def wait() -> None:
        timeout = ReusableTimeout()
        asyncio.get_running_loop().call_later(0.01, timeout.expire)
        with timeout.limit(30):
            await asyncio.sleep(5)

    task = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.01, task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_the_task_continues_after_a_timeout() -> None:
    timeout = ReusableTimeout()
    with pytest.raises(TimeoutError), timeout.limit(0.01):
        await asyncio.sleep(5)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    async with asyncio.timeout(60):
        await asyncio.sleep(0.01)

"""The retry policy by itself, on a fake clock."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from tenacity import AsyncRetrying

from app.core.errors import InvalidRequest
from app.core.upstream import UpstreamRateLimited, UpstreamUnavailable
from app.services.groq.retry import create_retry_policy

BUSY = UpstreamUnavailable("busy")


@pytest.fixture
def anyio_backend(virtual_time: Any) -> Any:
    return virtual_time


def policy(*, max_attempts: int = 100, sleep_budget_s: float = 1000, deadline_s: float = 1000) -> AsyncRetrying:
    return create_retry_policy(max_attempts=max_attempts, sleep_budget_s=sleep_budget_s, deadline_s=deadline_s)


async def starts(retries: AsyncRetrying, errors: Sequence[Exception], *, takes_s: float = 0) -> list[float]:
    """When attempts begin that fail with these errors, one after the other; the last error is raised by all others."""
    loop, started = asyncio.get_running_loop(), list[float]()

    async def attempt() -> None:
        started.append(loop.time() - began)
        await asyncio.sleep(takes_s)
        raise errors[min(len(started), len(errors)) - 1]

    began = loop.time()
    with pytest.raises(type(errors[-1])):
        await retries(attempt)
    return started


def later(seconds: float) -> UpstreamRateLimited:
    return UpstreamRateLimited("later", retry_after=seconds)


async def test_attempts_are_counted() -> None:
    assert len(await starts(policy(max_attempts=3), [BUSY])) == 3
    assert len(await starts(policy(max_attempts=1), [BUSY])) == 1


@pytest.mark.parametrize("error", [InvalidRequest("no"), RuntimeError("a bug")])
async def test_other_failures_are_not_repeated(error: Exception) -> None:
    assert await starts(policy(), [error]) == [0]


async def test_retry_after_is_waited_for_with_a_little_more() -> None:
    _, second = await starts(policy(max_attempts=2), [later(7)])
    assert 7 <= second < 7.11
    _, second = await starts(policy(max_attempts=2), [later(0)])
    assert 0 <= second < 0.11


async def test_clients_do_not_repeat_in_step() -> None:
    runs = [await starts(policy(max_attempts=2), [later(7)]) for _ in range(8)]
    assert len({second for _, second in runs}) > 1
    runs = [await starts(policy(max_attempts=2), [BUSY]) for _ in range(8)]
    assert len({second for _, second in runs}) > 1


async def test_the_backoff_grows_and_is_bounded() -> None:
    """Each wait is random, from nothing to a limit that doubles."""
    waits = []
    for _ in range(30):
        started = await starts(policy(max_attempts=12), [BUSY])
        waits.append([after - before for before, after in pairwise(started)])
    longest = [max(column) for column in zip(*waits, strict=True)]
    assert longest[0] <= 0.25
    assert longest[1] <= 0.5
    assert max(longest) <= 5
    assert max(longest[6:]) > 2


async def test_a_sleep_beyond_the_budget_is_not_begun() -> None:
    assert await starts(policy(sleep_budget_s=10), [later(11)]) == [0]
    assert len(await starts(policy(sleep_budget_s=10), [later(4)])) == 3  # 4 + 4 are in the budget, 4 + 4 + 4 are not


async def test_a_sleep_that_would_end_after_the_deadline_is_not_begun() -> None:
    assert len(await starts(policy(deadline_s=10), [later(4)], takes_s=1)) == 2  # at 0 and 5; the third were at 10
    assert await starts(policy(deadline_s=3), [later(4)]) == [0]


async def test_the_last_error_is_raised() -> None:
    assert len(await starts(policy(max_attempts=2), [BUSY, later(1)])) == 2

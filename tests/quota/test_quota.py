"""What callers may ask for, in memory and in Redis alike."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from uuid import uuid4

import pytest

from app.core.config import Settings
from app.core.errors import QuotaExceeded, StreamQuotaExceeded, TokenQuotaExceeded
from app.quota.opening import Unlimited, opened
from app.quota.quota import Quota
from tests.quota.conftest import Failures, worker
from tests.support.records import record

Opens = Callable[..., AbstractAsyncContextManager[Quota]]


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.needs("redis-server"))])
def quota_of(request: pytest.FixtureRequest) -> Opens:
    """Opens a quota in either place."""
    if request.param == "memory":
        return worker
    return partial(worker, redis_url=request.getfixturevalue("redis").url)


@pytest.fixture(autouse=True)
async def _nothing_failed(failures: Failures) -> AsyncIterator[None]:
    yield
    assert failures.operations == []


async def asks(quota: Quota, client: str | None = "first") -> dict[str, str]:
    """A whole request that uses nothing: its headers."""
    visit = uuid4()
    try:
        return dict(await quota.enter(client, visit))
    finally:
        quota.leave(visit)


async def test_each_caller_has_requests_of_its_own(quota_of: Opens) -> None:
    async with quota_of(quota_requests_per_minute=2) as quota:
        for client in ("first", "second", None):
            assert (await asks(quota, client))["x-ratelimit-remaining-requests"] == "1"
            assert (await asks(quota, client))["x-ratelimit-remaining-requests"] == "0"
            with pytest.raises(QuotaExceeded) as refused:
                await asks(quota, client)
            assert refused.value.type == "requests"
            assert refused.value.retry_after is not None
            assert 50 < refused.value.retry_after <= 60.5
            assert refused.value.rate_limits["x-ratelimit-limit-requests"] == "2"
            assert refused.value.rate_limits["x-ratelimit-remaining-requests"] == "0"


async def test_what_is_left_is_told_as_groq_tells_it(quota_of: Opens) -> None:
    async with quota_of(quota_requests_per_minute=3, quota_tokens_per_minute=100) as quota:
        told = await asks(quota)
        reset = told.pop("x-ratelimit-reset-requests")
        assert reset.endswith("s")
        assert 58 <= float(reset[:-1]) <= 60
        assert told == {
            "x-ratelimit-limit-requests": "3",
            "x-ratelimit-remaining-requests": "2",
            "x-ratelimit-limit-tokens": "100",
            "x-ratelimit-remaining-tokens": "100",
            "x-ratelimit-reset-tokens": "0s",
        }


async def test_tokens_are_spent_when_a_chat_has_ended_and_the_last_one_may_go_beyond(quota_of: Opens) -> None:
    async with quota_of(quota_tokens_per_minute=100) as quota:
        for prompt, completion, left in ((30, 40, "30"), (0, 500, "0")):
            visit = uuid4()
            await quota.enter("first", visit)
            quota.ended(record(id=visit, client="first", prompt_tokens=prompt, completion_tokens=completion))
            await settled()
            if left != "0":
                assert (await asks(quota))["x-ratelimit-remaining-tokens"] == left
        with pytest.raises(TokenQuotaExceeded) as refused:
            await asks(quota)
        assert refused.value.type == "tokens"
        assert refused.value.retry_after is not None
        assert 50 < refused.value.retry_after <= 60.5
        assert (await asks(quota, "second"))["x-ratelimit-remaining-tokens"] == "100"


async def test_a_chat_that_groq_did_not_work_on_spends_no_tokens(quota_of: Opens) -> None:
    async with quota_of(quota_tokens_per_minute=100) as quota:
        visit = uuid4()
        await quota.enter("first", visit)
        quota.ended(record(id=visit, client="first", prompt_tokens=None, completion_tokens=None))
        await settled()
        assert (await asks(quota))["x-ratelimit-remaining-tokens"] == "100"


async def test_a_place_is_free_again_when_its_chat_ends_however_it_does(quota_of: Opens) -> None:
    async with quota_of(quota_streams=2) as quota:
        running = [uuid4(), uuid4()]
        for visit in running:
            await quota.enter("first", visit)
        with pytest.raises(StreamQuotaExceeded) as refused:
            await asks(quota)
        assert (refused.value.type, refused.value.retry_after) == ("streams", 1)
        await asks(quota, "second")
        quota.ended(record(id=running[0], client="first"))  # with a row …
        quota.leave(running[0])
        await settled()
        await quota.enter("first", running[0])
        quota.leave(running[1])  # … or before it began
        await settled()
        await asks(quota)


async def test_who_is_refused_for_one_thing_holds_nothing_of_another(quota_of: Opens) -> None:
    async with quota_of(quota_requests_per_minute=1, quota_streams=1) as quota:
        await asks(quota)
        for _ in range(3):
            await settled()
            with pytest.raises(QuotaExceeded, match="requests a minute"):
                await asks(quota)


async def test_a_worker_that_is_busy_for_long_counts_all_the_same(quota_of: Opens) -> None:
    """Whoever sends a body that takes long to parse would switch off all quotas: the fault is not of who counts."""
    loop = asyncio.get_running_loop()
    async with quota_of(quota_requests_per_minute=100, quota_tokens_per_minute=100, quota_streams=2) as quota:
        await asks(quota)
        for turns in range(8):
            busy: Callable[[], object] = partial(time.sleep, 0.3)
            for _ in range(turns):
                busy = partial(loop.call_soon, busy)
            loop.call_soon(busy)
            assert (await asks(quota))["x-ratelimit-remaining-requests"] == str(98 - turns)


async def test_without_a_quota_nobody_is_counted_and_no_redis_is_asked() -> None:
    settings = Settings.model_validate({"redis_url": "redis://127.0.0.1:1"})
    async with opened(settings, Failures()) as quota:
        assert isinstance(quota, Unlimited)
        assert await quota.enter("first", uuid4()) == {}


async def settled() -> None:
    """What is done beside has been done."""
    await asyncio.sleep(0.05)

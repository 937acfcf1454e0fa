"""Quotas count the same in memory and in Redis."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from uuid import UUID, uuid4

import pytest

from app.core.config import Settings
from app.core.errors import QuotaExceeded, StreamQuotaExceeded, TokenQuotaExceeded
from app.quota import Unlimited, create_quota
from app.quota.quota import Quota
from tests.quota.conftest import Failures, worker
from tests.support.records import record

CreatesQuota = Callable[..., AbstractAsyncContextManager[Quota]]


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.needs("redis-server"))])
def quota_of(request: pytest.FixtureRequest, failures: Failures) -> CreatesQuota:
    if request.param == "memory":
        return partial(worker, failures)
    return partial(worker, failures, redis_url=request.getfixturevalue("redis").url)


@pytest.fixture(autouse=True)
async def _nothing_failed(failures: Failures) -> AsyncIterator[None]:
    yield
    assert failures.operations == []


async def ask(quota: Quota, client: str | None = "first") -> dict[str, str]:
    """A request that ends at once and uses no tokens: its headers."""
    request_id = uuid4()
    try:
        return dict(await quota.enter(client, request_id))
    finally:
        quota.leave(request_id)


async def settled() -> None:
    """Background tasks have ended."""
    await asyncio.sleep(0.05)


async def chat(quota: Quota, *, prompt: int | None, completion: int | None, request_id: UUID | None = None) -> None:
    """A chat of so many tokens has ended."""
    request_id = request_id or uuid4()
    await quota.enter("first", request_id)
    quota.ended(record(id=request_id, client="first", prompt_tokens=prompt, completion_tokens=completion))
    await settled()


async def test_each_client_has_its_own_requests(quota_of: CreatesQuota) -> None:
    async with quota_of(quota_requests_per_minute=2) as quota:
        for client in ("first", "second", None):
            assert (await ask(quota, client))["x-ratelimit-remaining-requests"] == "1"
            assert (await ask(quota, client))["x-ratelimit-remaining-requests"] == "0"
            with pytest.raises(QuotaExceeded) as refused:
                await ask(quota, client)
            assert refused.value.type == "requests"
            assert refused.value.retry_after is not None
            assert 50 < refused.value.retry_after <= 60
            assert refused.value.rate_limits["x-ratelimit-limit-requests"] == "2"
            assert refused.value.rate_limits["x-ratelimit-remaining-requests"] == "0"


async def test_headers_are_in_the_format_of_groq(quota_of: CreatesQuota) -> None:
    async with quota_of(quota_requests_per_minute=3, quota_tokens_per_minute=100) as quota:
        headers = await ask(quota)
        reset = headers.pop("x-ratelimit-reset-requests")
        assert reset.endswith("s")
        assert 58 <= float(reset[:-1]) <= 60
        assert headers == {
            "x-ratelimit-limit-requests": "3",
            "x-ratelimit-remaining-requests": "2",
            "x-ratelimit-limit-tokens": "100",
            "x-ratelimit-remaining-tokens": "100",
            "x-ratelimit-reset-tokens": "0s",
        }


async def test_tokens_are_counted_when_a_chat_ends_and_may_exceed_the_limit(quota_of: CreatesQuota) -> None:
    async with quota_of(quota_tokens_per_minute=100) as quota:
        await chat(quota, prompt=30, completion=40)
        assert (await ask(quota))["x-ratelimit-remaining-tokens"] == "30"
        await chat(quota, prompt=0, completion=500)
        with pytest.raises(TokenQuotaExceeded) as refused:
            await ask(quota)
        assert refused.value.type == "tokens"
        assert refused.value.retry_after is not None
        assert 50 < refused.value.retry_after <= 60
        assert (await ask(quota, "second"))["x-ratelimit-remaining-tokens"] == "100"


async def test_chat_that_groq_did_not_process_uses_no_tokens(quota_of: CreatesQuota) -> None:
    async with quota_of(quota_tokens_per_minute=100) as quota:
        await chat(quota, prompt=None, completion=None)
        assert (await ask(quota))["x-ratelimit-remaining-tokens"] == "100"


async def test_chat_is_admitted_when_another_one_has_ended(quota_of: CreatesQuota) -> None:
    async with quota_of(quota_streams=2) as quota:
        running = [uuid4(), uuid4()]
        for request_id in running:
            await quota.enter("first", request_id)
        with pytest.raises(StreamQuotaExceeded) as refused:
            await ask(quota)
        assert (refused.value.type, refused.value.retry_after) == ("streams", 1)
        await ask(quota, "second")
        quota.ended(record(id=running[0], client="first"))  # with a row …
        quota.leave(running[0])
        await settled()
        await quota.enter("first", running[0])
        quota.leave(running[1])  # … or before it began
        await settled()
        await ask(quota)


async def test_request_that_exceeds_one_limit_is_not_counted_as_running(quota_of: CreatesQuota) -> None:
    async with quota_of(quota_requests_per_minute=1, quota_streams=1) as quota:
        await ask(quota)
        for _ in range(3):
            await settled()
            with pytest.raises(QuotaExceeded, match="requests a minute"):
                await ask(quota)


async def test_blocked_event_loop_does_not_make_redis_unavailable(quota_of: CreatesQuota) -> None:
    """Otherwise any client could switch off all quotas by sending bodies that take long to parse."""
    loop = asyncio.get_running_loop()
    async with quota_of(quota_requests_per_minute=100, quota_tokens_per_minute=100, quota_streams=2) as quota:
        await ask(quota)
        for iterations in range(8):
            block: Callable[[], object] = partial(time.sleep, 0.3)
            for _ in range(iterations):
                block = partial(loop.call_soon, block)
            loop.call_soon(block)
            assert (await ask(quota))["x-ratelimit-remaining-requests"] == str(98 - iterations)


async def test_wall_clock_that_is_set_back_changes_no_window(
    quota_of: CreatesQuota, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with quota_of(quota_requests_per_minute=1, quota_tokens_per_minute=10) as quota:
        await chat(quota, prompt=5, completion=5)
        now = time.time
        monkeypatch.setattr(time, "time", lambda: now() - 7200)
        with pytest.raises(QuotaExceeded) as refused:
            await ask(quota)
        assert refused.value.retry_after is not None
        assert refused.value.retry_after <= 60


async def test_window_ends_after_a_minute(failures: Failures, monkeypatch: pytest.MonkeyPatch) -> None:
    async with worker(failures, quota_requests_per_minute=2, quota_tokens_per_minute=10) as quota:
        now, passed = time.monotonic, 0.0
        monkeypatch.setattr(time, "monotonic", lambda: now() + passed)
        await ask(quota)
        passed = 59
        await chat(quota, prompt=5, completion=5)
        with pytest.raises(QuotaExceeded):
            await ask(quota)
        passed = 61
        with pytest.raises(TokenQuotaExceeded):  # their window began with the chat that ended
            await ask(quota)
        passed = 120
        assert (await ask(quota))["x-ratelimit-remaining-requests"] == "0"


async def test_without_limits_nothing_is_counted_and_redis_is_not_used() -> None:
    settings = Settings.model_validate({"redis_url": "redis://127.0.0.1:1"})
    async with create_quota(settings, Failures()) as quota:
        assert isinstance(quota, Unlimited)
        assert await quota.enter("first", uuid4()) == {}

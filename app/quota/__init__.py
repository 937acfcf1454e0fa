"""Quotas of each client. `create_quota` yields an `api.state.Quota` that is also a `ChatQuota` of the chat service.

quota.py         admits requests, refuses what exceeds a limit, charges chats when they end; counts in memory
redis_store.py   counts in Redis for all workers, within a time limit; pauses after a failure
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID

from app.core.config import Settings
from app.core.record import ChatRecord
from app.quota.quota import Limits, LocalStore, Quota, QuotaEvents, Store


class Unlimited:
    """Stands in where no quota is set: counts nothing."""

    async def enter(self, client: str | None, request_id: UUID) -> Mapping[str, str]:  # noqa: ARG002
        return {}

    def leave(self, request_id: UUID) -> None:
        pass

    def ended(self, record: ChatRecord) -> None:
        pass


@asynccontextmanager
async def create_quota(settings: Settings, events: QuotaEvents) -> AsyncIterator[Quota | Unlimited]:
    """Yields what the settings describe. Redis need not be available."""
    if not settings.has_quota:
        yield Unlimited()
        return
    limits = Limits(settings.quota_requests_per_minute, settings.quota_tokens_per_minute, settings.quota_streams)
    async with AsyncExitStack() as stack:
        store: Store = LocalStore(limits)
        if settings.redis_url is not None:
            # The client of Redis is large, and most run without it.
            from app.quota.redis_store import RedisScripts, RedisStore  # noqa: PLC0415

            url = settings.redis_url.get_secret_value()
            scripts = RedisScripts(url, timeout_s=settings.redis_timeout_s, events=events)
            stack.push_async_callback(scripts.aclose)
            store = shared = RedisStore(scripts, limits)
            await stack.enter_async_context(shared.renewing())
        quota = Quota(store, fail_open=settings.quota_fail_open)
        stack.push_async_callback(quota.aclose)
        yield quota


def redis_problems(settings: Settings) -> list[str]:
    """Returns a sentence if redis-py cannot use the options in REDIS_URL, which otherwise each chat would find out."""
    if settings.redis_url is None or not settings.has_quota:
        return []
    from redis.asyncio import Redis  # noqa: PLC0415 - as above

    try:
        Redis.from_url(settings.redis_url.get_secret_value()).connection_pool.make_connection()  # type: ignore[no-untyped-call]
    except Exception:  # noqa: BLE001 - redis-py raises a different exception for each kind of mistake
        return [
            "REDIS_URL: redis-py does not know an option behind the ?, or cannot use its value; remove or correct it"
        ]
    return []

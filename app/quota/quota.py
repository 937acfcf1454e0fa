"""Admits requests by the quota of their client, and charges chats when they end. A stream is a running chat here."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Protocol, Self
from uuid import UUID

from app.core.config import Settings
from app.core.errors import QuotaUnavailable, StreamQuotaExceeded
from app.core.record import ChatRecord
from app.quota.local import LocalStore
from app.quota.redis_scripts import QuotaEvents, RedisScripts, StoreUnavailable, connect
from app.quota.redis_store import RedisStore
from app.quota.status import Limits, QuotaStatus

_ANONYMOUS = "anonymous"
_CROSSING_S = 0.05
"""The wait before a stream is refused: the end of a stream and its client's next request may come from two workers, and
reach Redis in reverse order."""
_CLOSE_S = 2


class Store(Protocol):
    """Counts. Raises StoreUnavailable."""

    async def enter(self, client: str, request_id: str, *, cost: int) -> QuotaStatus:
        """Counts `cost` requests, and a stream if nothing is exceeded. `leave` has to follow in every case."""
        ...

    def leave(self, client: str, request_id: str) -> None:
        """The stream has ended or will not begin; the next `settle` makes it visible to the other workers."""
        ...

    async def settle(self, client: str, tokens: int) -> None:
        """Counts tokens, even beyond the limit."""
        ...


class Quota:
    """Counts requests by client, the name of its key; clients without keys share a quota."""

    def __init__(self, store: Store, *, fail_open: bool) -> None:
        self._store = store
        self._fail_open = fail_open
        self._clients: dict[UUID, str] = {}
        self._background_tasks: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def running(cls, settings: Settings, events: QuotaEvents) -> AsyncIterator[Self]:
        """Yield the quota that the settings describe; at the end, wait a moment for what is still to be counted."""
        limits = Limits(settings.quota_requests_per_minute, settings.quota_tokens_per_minute, settings.quota_streams)
        async with AsyncExitStack() as stack:
            store: Store = LocalStore(limits)
            if settings.redis_url is not None:
                redis = connect(settings.redis_url.get_secret_value())
                scripts = RedisScripts(redis, timeout_s=settings.redis_timeout_s, events=events)
                stack.push_async_callback(scripts.aclose)
                store = shared = RedisStore(scripts, limits)
                await stack.enter_async_context(shared.renewing())
            quota = cls(store, fail_open=settings.quota_fail_open)
            stack.push_async_callback(quota.aclose)
            yield quota

    async def enter(self, client: str | None, request_id: UUID) -> Mapping[str, str]:
        """Count a request and return its rate-limit headers. Raise QuotaExceeded or QuotaUnavailable.

        `leave` has to follow in every case.
        """
        client = self._clients[request_id] = client or _ANONYMOUS
        try:
            status = await self._store.enter(client, str(request_id), cost=1)
            status.refuse_if_exceeded()
            if not status.may_stream:
                await asyncio.sleep(_CROSSING_S)
                status = await self._store.enter(client, str(request_id), cost=0)
        except StoreUnavailable as exc:
            if not self._fail_open:
                raise QuotaUnavailable("quotas cannot be counted at the moment; try again", retry_after=1) from exc
            return {}
        if not status.may_stream:
            message = "this key has as many running chats as it may; wait until one of them ends"
            raise StreamQuotaExceeded(message, retry_after=1, rate_limits=status.headers)
        return status.headers

    def leave(self, request_id: UUID) -> None:
        """End a request, unless its chat has `ended`."""
        if (client := self._clients.pop(request_id, None)) is not None:
            self._end(client, request_id, 0)

    def ended(self, record: ChatRecord) -> None:
        """End a chat and charge its tokens, known or estimated, in the background."""
        client = self._clients.pop(record.id, None) or record.client or _ANONYMOUS
        self._end(client, record.id, (record.prompt_tokens or 0) + (record.completion_tokens or 0))

    async def aclose(self) -> None:
        """Wait a moment for what is still to be counted."""
        if self._background_tasks:
            await asyncio.wait(self._background_tasks, timeout=_CLOSE_S)

    def _end(self, client: str, request_id: UUID, tokens: int) -> None:
        async def settle() -> None:
            with suppress(StoreUnavailable):  # reported; tokens that cannot be counted are not charged
                await self._store.settle(client, tokens)

        self._store.leave(client, str(request_id))
        task = asyncio.create_task(settle(), name="quota")
        self._background_tasks.add(task)
        task.add_done_callback(self._background_tasks.discard)

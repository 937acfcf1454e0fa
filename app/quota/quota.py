"""Admits requests by the quota of their client, and charges chats when they end. A stream is a running chat here."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from app.core.errors import QuotaExceeded, QuotaUnavailable, StreamQuotaExceeded, TokenQuotaExceeded
from app.core.record import ChatRecord

WINDOW_S = 60
_ANONYMOUS = "anonymous"
_CROSSING_S = 0.05
"""The wait before a stream is refused: the end of a stream and its client's next request may come from two workers, and
reach Redis in reverse order."""
_CLOSE_S = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """The quotas of each client; None is unlimited. Requests and tokens are per minute, `streams` are running chats."""

    requests: int | None
    tokens: int | None
    streams: int | None


@dataclass(frozen=True, slots=True)
class Window:
    """What a client has used, and the time until that is forgotten."""

    used: int
    reset_s: float


@dataclass(frozen=True, slots=True)
class QuotaStatus:
    """What a client has used, this request included. `may_stream`: this request counts as one of the running chats."""

    limits: Limits
    requests: Window
    tokens: Window
    may_stream: bool

    @property
    def headers(self) -> Mapping[str, str]:
        """In the format of Groq and OpenAI; durations as Go formats them: `59.87s`."""
        headers: dict[str, str] = {}
        for kind, limit, window in (
            ("requests", self.limits.requests, self.requests),
            ("tokens", self.limits.tokens, self.tokens),
        ):
            if limit is not None:
                headers[f"x-ratelimit-limit-{kind}"] = str(limit)
                headers[f"x-ratelimit-remaining-{kind}"] = str(max(0, limit - window.used))
                headers[f"x-ratelimit-reset-{kind}"] = f"{round(window.reset_s, 2):g}s"
        return headers

    def refuse_if_exceeded(self) -> None:
        """Raises QuotaExceeded if this request is one too many, or no tokens are left for it."""
        for error, limit, needed, window in (
            (QuotaExceeded, self.limits.requests, 0, self.requests),
            (TokenQuotaExceeded, self.limits.tokens, 1, self.tokens),
        ):
            if limit is not None and window.used + needed > limit:
                message = f"no more than {limit} {error.type} a minute for each key; wait for 'Retry-After' seconds"
                raise error(message, retry_after=max(1, window.reset_s), rate_limits=self.headers)


class StoreUnavailable(Exception):
    """The store failed or did not answer in time, now or a moment ago."""


class Store(Protocol):
    """Counts. Raises StoreUnavailable."""

    async def enter(self, client: str, request_id: str, *, cost: int) -> QuotaStatus:
        """Counts `cost` requests, and a stream if nothing is exceeded. `leave` has to follow in every case."""

    def leave(self, client: str, request_id: str) -> None:
        """The stream has ended or will not begin; the next `settle` makes it visible to the other workers."""

    async def settle(self, client: str, tokens: int) -> None:
        """Counts tokens, even beyond the limit."""


class QuotaEvents(Protocol):
    """Receives what operators need to know. It never raises."""

    def quota_store_failed(self, operation: str) -> None:
        """An operation was not counted."""


class Quota:
    """Counts requests by client, the name of its key; clients without keys share a quota."""

    def __init__(self, store: Store, *, fail_open: bool) -> None:
        self._store = store
        self._fail_open = fail_open
        self._clients: dict[UUID, str] = {}
        self._background_tasks: set[asyncio.Task[None]] = set()

    async def enter(self, client: str | None, request_id: UUID) -> Mapping[str, str]:
        """Counts a request and returns its rate-limit headers. Raises QuotaExceeded or QuotaUnavailable.

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
        """Ends a request, unless its chat has `ended`."""
        if (client := self._clients.pop(request_id, None)) is not None:
            self._end(client, request_id, 0)

    def ended(self, record: ChatRecord) -> None:
        """Ends a chat and charges its tokens, known or estimated, in the background."""
        client = self._clients.pop(record.id, None) or record.client or _ANONYMOUS
        self._end(client, record.id, (record.prompt_tokens or 0) + (record.completion_tokens or 0))

    async def aclose(self) -> None:
        """Waits a moment for what is still to be counted."""
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


class LocalStore:
    """Counts in the memory of this process, with an entry for each name in API_KEYS, which bounds its size.

    The clock is monotonic: setting the wall clock changes no window.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._windows: dict[tuple[str, str], tuple[int, float]] = {}
        self._streams: defaultdict[str, set[str]] = defaultdict(set)

    async def enter(self, client: str, request_id: str, *, cost: int) -> QuotaStatus:
        streams, limit = self._streams[client], self._limits.streams
        if may_stream := limit is None or len(streams) < limit:
            streams.add(request_id)  # a request that is refused for another reason gives it back in `leave`
        return QuotaStatus(
            self._limits, self._count("requests", client, cost), self._count("tokens", client, 0), may_stream
        )

    def leave(self, client: str, request_id: str) -> None:
        self._streams[client].discard(request_id)

    async def settle(self, client: str, tokens: int) -> None:
        self._count("tokens", client, tokens)

    def _count(self, kind: str, client: str, cost: int) -> Window:
        now = time.monotonic()
        used, end = self._windows.get((kind, client), (0, 0.0))
        if end <= now:
            used, end = 0, now + (WINDOW_S if cost else 0)
        self._windows[kind, client] = used + cost, end
        return Window(used + cost, end - now)

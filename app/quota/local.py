"""Counts in the memory of this process. The clock is monotonic: setting the wall clock changes no window."""

import time
from collections import defaultdict

from app.quota.status import WINDOW_S, Limits, QuotaStatus, Window


class LocalStore:
    """Satisfies `quota.Store`. It has an entry for each name in API_KEYS, which bounds its size."""

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

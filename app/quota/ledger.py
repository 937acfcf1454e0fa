"""The counts of all callers: requests and tokens of a minute, by the `limits` library, and streams at once.

A minute begins with the caller's first request in it, and all that it had spent is forgiven at its end. Tokens are
known when a chat has ended: who has some left may ask, and whatever the answer took is taken off.
"""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Protocol

from limits.aio.storage import Storage

_MINUTE_S = 60


class Streams(Protocol):
    """Places for streams."""

    async def take(self, who: str, visit: str) -> bool:
        """Whether there was one left."""
        ...

    def admit(self, who: str, visit: str) -> None:
        """The stream runs, though nobody could be asked for a place."""
        ...

    def leave(self, who: str, visit: str) -> None:
        """The stream is over; nothing happens if it had no place."""
        ...

    async def give_back(self, who: str, visit: str) -> None:
        """Tells others of a stream that has left."""
        ...


@dataclass(frozen=True, slots=True)
class Window:
    """One count of a caller's minute; `reset_s` is how long it still lasts."""

    limit: int
    used: int
    reset_s: float

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.used)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a caller stands. None where that is not limited."""

    requests: Window | None = None
    tokens: Window | None = None
    has_place: bool = True


class Ledger:
    """`requests` and `tokens` are what a minute has of them, None for as many as one likes."""

    def __init__(
        self, storage: Storage, *, requests: int | None, tokens: int | None, streams: Streams | None = None
    ) -> None:
        self._storage = storage
        self._requests = requests
        self._tokens = tokens
        self._streams = streams

    async def enter(self, who: str, visit: str) -> Standing:
        """Counts one request, and takes a place; asks for all of it at once, so that it is one round trip."""
        questions: dict[str, Awaitable[Any]] = {}
        if self._requests is not None:
            questions["requests"] = self._storage.incr(f"requests/{who}", _MINUTE_S)
            questions["requests_end"] = self._storage.get_expiry(f"requests/{who}")
        if self._tokens is not None:
            questions["tokens"] = self._storage.get(f"tokens/{who}")
            questions["tokens_end"] = self._storage.get_expiry(f"tokens/{who}")
        if self._streams is not None:
            questions["has_place"] = self._streams.take(who, visit)
        answers = dict(zip(questions, await asyncio.gather(*questions.values()), strict=True))
        return Standing(
            requests=_window(self._requests, answers.get("requests"), answers.get("requests_end")),
            tokens=_window(self._tokens, answers.get("tokens"), answers.get("tokens_end")),
            has_place=answers.get("has_place", True),
        )

    async def take_place(self, who: str, visit: str) -> bool:
        """Asks for a place once more."""
        return self._streams is None or await self._streams.take(who, visit)

    def admit(self, who: str, visit: str) -> None:
        """The chat runs, though nobody could be asked."""
        if self._streams is not None:
            self._streams.admit(who, visit)

    def leave(self, who: str, visit: str) -> None:
        """The chat is over; `settle` writes it down."""
        if self._streams is not None:
            self._streams.leave(who, visit)

    async def settle(self, who: str, visit: str, tokens: int) -> None:
        """The chat has left: its place is free for others, and its tokens are spent."""
        work: list[Awaitable[Any]] = []
        if self._streams is not None:
            work.append(self._streams.give_back(who, visit))
        if self._tokens is not None and tokens:
            work.append(self._storage.incr(f"tokens/{who}", _MINUTE_S, tokens))
        await asyncio.gather(*work)


def _window(limit: int | None, used: int | None, ends: float | None) -> Window | None:
    if limit is None or used is None or ends is None:
        return None
    reset_s = min(_MINUTE_S, max(0.0, ends - time.time()))
    # A Redis that has yet to learn the script counts after it has told when the minute ends: there was none then.
    return Window(limit, used, reset_s if used != 1 else reset_s or _MINUTE_S)

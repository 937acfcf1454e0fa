"""Limits the memory of request bodies, from the first byte of a body until its row is durable."""

import gc
import random
from collections import Counter

from app.core.errors import BodyBytesExceeded, Overloaded

_SPREAD_S = 3  # spreads the retries of callers that are refused together
_LARGE_BYTES = 2**18
_COLLECTED_BYTES = 2**23
"""The request of a failed chat is part of a reference cycle (error, traceback, frames). Python starts a collection by
the number of objects, and a large request is one object: hundreds of megabytes could wait. A collection takes 3 ms,
because objects from the start are frozen (serving/server.py)."""


class BodyBudget:
    """One per process. A caller may hold at most as many bytes as are free.

    So the heaviest caller is refused first, a single caller gets half, and some bytes are always left for others. This
    is the dynamic threshold by which switches share a buffer among ports (Choudhury and Hahne, 1998).
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._free = limit
        self._held: Counter[str] = Counter()
        self._uncollected = 0

    @property
    def used(self) -> int:
        """The bytes held by all callers."""
        return self._limit - self._free

    def lease(self, caller: str) -> "BodyLease":
        """Returns a lease of no bytes. `release` has to follow."""
        return BodyLease(self, caller)

    def take(self, caller: str, count: int) -> None:
        """Raises BodyBytesExceeded for a caller that already holds bytes, Overloaded for one that does not."""
        held = self._held[caller]
        if held + count > self._free - count:
            retry_after = random.randint(1, _SPREAD_S)  # noqa: S311 # nosec B311
            if held:
                message = "the running requests of this caller are too large together; wait until one has ended"
                raise BodyBytesExceeded(message, retry_after=retry_after)
            raise Overloaded("this worker has no memory for a request of this size; try again", retry_after=retry_after)
        self._held[caller] += count
        self._free -= count

    def give_back(self, caller: str, count: int) -> None:
        """Returns bytes that `take` gave."""
        self._free += count
        self._held[caller] -= count
        if not self._held[caller]:
            del self._held[caller]

    def chat_ended(self, count: int) -> None:
        """A chat with a request of this size has ended."""
        self._uncollected += count if count >= _LARGE_BYTES else 0
        if self._uncollected >= _COLLECTED_BYTES:
            self._uncollected = 0
            gc.collect()


class BodyLease:
    """The bytes of one request. They are freed when every holder has released the lease."""

    def __init__(self, budget: BodyBudget, caller: str) -> None:
        self._budget = budget
        self._caller = caller
        self._bytes = 0
        self._holders = 1
        self._is_of_chat = False

    def grow(self, count: int) -> None:
        """Grows to `count` bytes. Raises BodyBytesExceeded or Overloaded, and keeps its size then."""
        if count > self._bytes:
            self._budget.take(self._caller, count - self._bytes)
            self._bytes = count

    def hold(self) -> None:
        """Adds the chat as a holder."""
        self._holders += 1
        self._is_of_chat = True

    def release(self) -> None:
        """Removes a holder."""
        self._holders -= 1
        if not self._holders:
            self._budget.give_back(self._caller, self._bytes)
            if self._is_of_chat:
                self._budget.chat_ended(self._bytes)

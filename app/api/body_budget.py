"""The memory that request bodies take, shared out among callers: from a body's first byte until its row is durable."""

import gc
import random
from collections import Counter

from app.core.errors import BodyBytesExceeded, Overloaded

_SPREAD_S = 3  # those who are refused together are not to return together
_LARGE_BYTES = 2**18
_COLLECTED_BYTES = 2**23
"""A chat that fails leaves its request behind in a cycle: the error, its traceback, the frames, the error. Python
collects cycles by the number of objects, and a large request is a single one: hundreds of megabytes would wait. To
collect takes 3 ms, as what was made at the start is not looked through (serving/server.py)."""


class BodyBudget:
    """One per process. A caller may hold as many bytes as are left for all others, and no more.

    So the heaviest one is refused first, alone it gets half, and there is always something left for the next one. This
    is the dynamic threshold by which switches share a buffer among their ports (Choudhury and Hahne, 1998).
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._free = limit
        self._held: Counter[str] = Counter()
        self._uncollected = 0

    @property
    def used(self) -> int:
        """The bytes that all callers hold."""
        return self._limit - self._free

    def lease(self, caller: str) -> "BodyLease":
        """Of no bytes yet. `release` has to follow."""
        return BodyLease(self, caller)

    def take(self, caller: str, count: int) -> None:
        """Raises BodyBytesExceeded for a caller that holds other bytes, and Overloaded for one that does not."""
        held = self._held[caller]
        if held + count > self._free - count:
            retry_after = random.randint(1, _SPREAD_S)  # noqa: S311 # nosec B311
            if held:
                message = "the requests of this caller that are under way are too large together; wait for one to end"
                raise BodyBytesExceeded(message, retry_after=retry_after)
            raise Overloaded("this worker has no memory for a request of this size; try again", retry_after=retry_after)
        self._held[caller] += count
        self._free -= count

    def give_back(self, caller: str, count: int) -> None:
        """What was taken."""
        self._free += count
        self._held[caller] -= count
        if not self._held[caller]:
            del self._held[caller]

    def chat_ended(self, count: int) -> None:
        """A chat with a request of this size is over."""
        self._uncollected += count if count >= _LARGE_BYTES else 0
        if self._uncollected >= _COLLECTED_BYTES:
            self._uncollected = 0
            gc.collect()


class BodyLease:
    """The bytes of one request. Whoever needs them holds the lease; they are given back when nobody does."""

    def __init__(self, budget: BodyBudget, caller: str) -> None:
        self._budget = budget
        self._caller = caller
        self._bytes = 0
        self._holders = 1
        self._is_of_chat = False

    def grow(self, count: int) -> None:
        """Up to so many bytes in all. Raises BodyBytesExceeded or Overloaded, and is as large as before then."""
        if count > self._bytes:
            self._budget.take(self._caller, count - self._bytes)
            self._bytes = count

    def hold(self) -> None:
        """A chat needs them too, and will release them."""
        self._holders += 1
        self._is_of_chat = True

    def release(self) -> None:
        """One less does."""
        self._holders -= 1
        if not self._holders:
            self._budget.give_back(self._caller, self._bytes)
            if self._is_of_chat:
                self._budget.chat_ended(self._bytes)

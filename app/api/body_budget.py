"""Limits the memory of request bodies, from the first byte of a body until its row is durable."""

import gc
import random
from collections import Counter

from app.core.errors import BodyBytesExceeded, Overloaded

_SPREAD_S = 3  # spreads the retries of clients that are refused together
_LARGE_BYTES = 2**18
_COLLECTED_BYTES = 2**26
"""Bytes of large requests after which garbage is collected. The request of a failed chat is part of a reference cycle
(error, traceback, frames), and Python collects by the number of objects, not by their size: hundreds of megabytes could
wait. A collection takes 3 ms, and a tenth of a second with 500 open streams; objects from the start are frozen
(serving/server.py)."""


class BodyBudget:
    """One per process. A client may hold at most as many bytes as are free.

    So the heaviest client is refused first, a single client gets half, and some bytes are always left for others. This
    is the dynamic threshold by which switches share a buffer among ports (Choudhury and Hahne, 1998).
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._free = limit
        self._held: Counter[str] = Counter()
        self._uncollected = 0

    @property
    def used(self) -> int:
        """The bytes held by all clients."""
        return self._limit - self._free

    def memory_for(self, client: str) -> "BodyMemory":
        """Returns memory of no bytes. `release` has to follow."""
        return BodyMemory(self, client)

    def take(self, client: str, count: int, *, held_by_request: int) -> None:
        """Raises BodyBytesExceeded for a client whose other requests hold bytes, Overloaded for any other client."""
        held = self._held[client]
        if held + count > self._free - count:
            retry_after = random.randint(1, _SPREAD_S)  # noqa: S311 # nosec B311
            if held > held_by_request:
                message = "the running requests of this client are too large together; wait until one has ended"
                raise BodyBytesExceeded(message, retry_after=retry_after)
            raise Overloaded("this worker has no memory for a request of this size; try again", retry_after=retry_after)
        self._held[client] += count
        self._free -= count

    def give_back(self, client: str, count: int) -> None:
        """Returns bytes that `take` gave."""
        self._free += count
        self._held[client] -= count
        if not self._held[client]:
            del self._held[client]

    def chat_ended(self, count: int) -> None:
        """A chat with a request of this size has ended. Counts all chats: which ones failed is not known here."""
        self._uncollected += count if count >= _LARGE_BYTES else 0
        if self._uncollected >= _COLLECTED_BYTES:
            self._uncollected = 0
            gc.collect()


class BodyMemory:
    """The bytes of one request. They are freed when every holder has released it."""

    def __init__(self, budget: BodyBudget, client: str) -> None:
        self._budget = budget
        self._client = client
        self._bytes = 0
        self._holders = 1
        self._is_of_chat = False

    def grow(self, count: int) -> None:
        """Grows to `count` bytes. Raises BodyBytesExceeded or Overloaded, and keeps its size then."""
        if count > self._bytes:
            self._budget.take(self._client, count - self._bytes, held_by_request=self._bytes)
            self._bytes = count

    def hold(self) -> None:
        """Adds the chat as a holder."""
        self._holders += 1
        self._is_of_chat = True

    def release(self) -> None:
        """Removes a holder."""
        self._holders -= 1
        if not self._holders:
            self._budget.give_back(self._client, self._bytes)
            if self._is_of_chat:
                self._budget.chat_ended(self._bytes)

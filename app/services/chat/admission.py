"""Admission: which chats may run. Bounds running chats and reserves space for their rows."""

import asyncio
import random
from collections import deque

from app.core.config import Settings
from app.core.errors import ModelNotFound, Overloaded, RowsUnavailable, ServerDraining
from app.schemas.chat import ChatRequest
from app.services.chat.ports import RecordStore
from app.services.chat.timeouts import Drain

_RETRY_AFTER_S = 1
_SPREAD_S = 3  # spreads the retries of clients that are refused together


def resolve_model(request: ChatRequest, settings: Settings) -> tuple[str, str]:
    """Returns the model's name as requested (or the default), and its id at the provider.

    Raises ModelNotFound.
    """
    requested = request.model or settings.default_model
    if not settings.serves(requested):
        message = f"The model `{requested}` does not exist or you do not have access to it."
        raise ModelNotFound(message, param="model")
    return requested, settings.model_id(requested)


class Admission:
    """Counts running chats and the space that their rows will need.

    `active` includes chats whose rows are being stored. A few chats may wait for a moment until another one ends; the
    others are refused at once, so that running chats are not slowed down.
    """

    def __init__(self, settings: Settings, *, drain: Drain, store: RecordStore) -> None:
        self._max_active = settings.max_active_streams
        self._max_queued = settings.max_queued_chats
        self._queue_timeout_s = settings.queue_timeout_s
        self._drain = drain
        self._store = store
        self._queue: deque[asyncio.Future[None]] = deque()
        self._idle = asyncio.Event()
        self._idle.set()
        self.active = 0

    @property
    def queued(self) -> int:
        """The number of callers that wait for a slot."""
        return len(self._queue)

    def check(self, row_bytes: int = 0) -> None:
        """Raises what `enter` would raise at once. Before its body is read, the row of a request has no known size."""
        self._check_open()
        self._check_space(row_bytes)
        if self.active >= self._max_active and len(self._queue) >= self._max_queued:
            raise self._overloaded()

    async def enter(self, row_bytes: int) -> None:
        """Counts a chat and reserves space for its row. `leave` has to follow.

        Raises Overloaded, RowsUnavailable or ServerDraining.
        """
        self.check(row_bytes)
        if self.active < self._max_active:
            self.active += 1
            self._idle.clear()
        else:
            await self._wait_in_queue()
        # All workers of the machine share the outbox. This chat is counted before the check: free space below zero
        # means that chats of two workers took the last space at the same time.
        self._store.reserve(row_bytes)
        try:
            self._check_open()  # the drain may have started during the wait
            self._check_space(0)
        except BaseException:
            self.leave(row_bytes)
            raise

    def leave(self, row_bytes: int) -> None:
        """Ends a chat and frees the space: its row is durable, or could not be stored."""
        self._store.reserve(-row_bytes)
        self._admit_next()

    def _check_open(self) -> None:
        if self._drain.started:
            raise ServerDraining

    def _check_space(self, row_bytes: int) -> None:
        if row_bytes > self._store.free_bytes:
            raise RowsUnavailable("chats cannot be recorded at the moment; try again", retry_after=_RETRY_AFTER_S)

    async def _wait_in_queue(self) -> None:
        admitted = asyncio.get_running_loop().create_future()
        self._queue.append(admitted)
        try:
            await self._drain.wait(admitted, timeout_s=self._queue_timeout_s)
        except BaseException as exc:
            if admitted in self._queue:
                self._queue.remove(admitted)
            elif not admitted.cancelled():  # it was admitted at the same moment
                self._admit_next()
            if isinstance(exc, TimeoutError):
                self._check_open()
                raise self._overloaded() from exc
            raise

    def _admit_next(self) -> None:
        """Admits the chat that has waited longest in the place of one that ended, or counts one less."""
        while self._queue:
            admitted = self._queue.popleft()
            if not admitted.done():
                admitted.set_result(None)
                return
        self.active -= 1
        if not self.active:
            self._idle.set()

    def _overloaded(self) -> Overloaded:
        message = f"this worker runs {self._max_active} chats, which is its limit; try again"
        return Overloaded(message, retry_after=random.randint(1, _SPREAD_S))  # noqa: S311 # nosec B311

    async def wait_idle(self) -> None:
        """Returns when no chat is running and no row is being stored."""
        await self._idle.wait()

"""Admission: which chats may run. Bounds running chats and reserves space for their rows."""

import asyncio
import random
from collections import deque

from app.core.config import Settings
from app.core.errors import InvalidRequest, ModelNotFound, Overloaded, RowsUnavailable, ServerStopping
from app.schemas.chat import ChatRequest
from app.services.chat.drain import Drain
from app.services.chat.ports import RecordStore

_RETRY_AFTER_S = 1
_SPREAD_S = 3  # spreads the retries of callers that are refused together


def resolve_model(request: ChatRequest, settings: Settings) -> tuple[str, str]:
    """Returns the model's name as requested (or the default), and its id at the provider.

    Raises ModelNotFound, or InvalidRequest for more messages than MAX_MESSAGES.
    """
    if (count := len(request.messages)) > settings.max_messages:
        limit = settings.max_messages
        raise InvalidRequest(f"messages: {count} are more than {limit}; leave the oldest ones out", param="messages")
    requested = request.model or settings.default_model
    if not settings.serves(requested):
        message = f"The model `{requested}` does not exist or you do not have access to it."
        raise ModelNotFound(message, param="model")
    return requested, settings.model_id(requested)


class Admission:
    """Counts running chats and the space that their rows will need.

    A few callers may wait for a free slot, for a moment; the others are refused at once, so that running chats are not
    slowed down.
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

    def check(self) -> None:
        """Raises what `enter` would raise at once. For callers that need not read a request to know."""
        self._check_open()
        self._check_space(0)
        if self.active >= self._max_active and len(self._queue) >= self._max_queued:
            raise self._overloaded()

    async def enter(self, row_bytes: int) -> None:
        """Takes a slot and reserves space for the row. `leave` has to follow.

        Raises Overloaded, RowsUnavailable or ServerStopping.
        """
        self.check()
        self._check_space(row_bytes)
        if self.active < self._max_active:
            self.active += 1
            self._idle.clear()
        else:
            await self._wait_for_slot()
        self._store.reserve(row_bytes)  # before the last check: other workers reserve at the same time
        try:
            self._check_open()  # both may have changed during the wait
            self._check_space(0)
        except BaseException:
            self.leave(row_bytes)
            raise

    def leave(self, row_bytes: int) -> None:
        """Frees the slot and the space: the row is durable, or could not be stored."""
        self._store.reserve(-row_bytes)
        self._free_slot()

    def _check_open(self) -> None:
        if self._drain.started:
            raise ServerStopping("this server is stopping; try again", retry_after=_RETRY_AFTER_S)

    def _check_space(self, row_bytes: int) -> None:
        if row_bytes > self._store.free_bytes:
            raise RowsUnavailable("chats cannot be recorded at the moment; try again", retry_after=_RETRY_AFTER_S)

    async def _wait_for_slot(self) -> None:
        slot = asyncio.get_running_loop().create_future()
        self._queue.append(slot)
        try:
            await self._drain.wait(slot, timeout_s=self._queue_timeout_s)
        except BaseException as exc:
            if slot in self._queue:
                self._queue.remove(slot)
            elif not slot.cancelled():  # the slot was given at the same moment
                self._free_slot()
            if isinstance(exc, TimeoutError):
                self._check_open()
                raise self._overloaded() from exc
            raise

    def _free_slot(self) -> None:
        """Gives a free slot to the caller that has waited longest."""
        while self._queue:
            slot = self._queue.popleft()
            if not slot.done():
                slot.set_result(None)
                return
        self.active -= 1
        if not self.active:
            self._idle.set()

    def _overloaded(self) -> Overloaded:
        message = f"all {self._max_active} streams of this worker are in use; try again"
        return Overloaded(message, retry_after=random.randint(1, _SPREAD_S))  # noqa: S311 # nosec B311

    async def wait_idle(self) -> None:
        """Returns when no chat is running and no row is being stored."""
        await self._idle.wait()

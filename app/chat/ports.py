"""What the chat needs from others, as it needs it: Groq, a place that keeps rows, and someone who watches."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol
from uuid import UUID

from app.chat.block import Block
from app.core.attempt import Attempt
from app.core.errors import ServiceError
from app.core.record import ChatRecord, Kept
from app.core.setting_types import ModelPrice


class UpstreamStream(Protocol):
    """An answer that has begun; a whole one is its only block."""

    async def read(self) -> Block:
        """Everything that has come since the last read; waits for more if nothing has.

        What comes fast comes in larger blocks. A stream that breaks off is a block with an error.
        """
        ...

    async def aclose(self) -> None:
        """Stops the answer, so that Groq stops generating what nobody reads. Bounded in time, and never raises."""
        ...


class Upstream(Protocol):
    """Groq."""

    async def open(self, payload: Mapping[str, Any], *, on_attempt: Callable[[Attempt], None]) -> UpstreamStream:
        """Returns when an answer has made its first progress, or is here as a whole if `payload` has no `stream`.

        Raises an UpstreamError if none comes. `on_attempt` is called for each attempt, when it is over. The last one
        may have been for another model.
        """
        ...


class Models(Protocol):
    """What models cost."""

    def price(self, model_id: str) -> ModelPrice | None:
        """In US dollars per million tokens; None where it is unknown."""
        ...


class ChatLog(Protocol):
    """Where rows are kept."""

    @property
    def room(self) -> int:
        """The bytes of rows for which there is a place now, whatever becomes of the database."""
        ...

    def add(self, record: ChatRecord) -> Awaitable[Kept]:
        """Queues the row at once, so that cancelling the wait cannot lose it.

        The awaitable is done when the row is durable, and tells where; it raises NotRecorded if the row could be kept
        nowhere.
        """
        ...


class ChatWatch(Protocol):
    """Who watches one chat. It never raises."""

    @property
    def traceparent(self) -> str | None:
        """The span that the chat is told in, as in W3C's header."""
        ...

    def attempted(self, attempt: Attempt) -> None:
        """Once for each attempt, when it is over."""
        ...

    def finished(
        self,
        record: ChatRecord,
        error: ServiceError | None,
        *,
        commit_s: float,
        kept: Kept | None,
        lost: ServiceError | None,
    ) -> None:
        """Once, when the row is durable, `kept`, or given up, `lost`; waiting for that took `commit_s`."""
        ...


class Meter(Protocol):
    """Who counts what callers use."""

    def ended(self, record: ChatRecord) -> None:
        """A chat that was let in has ended. Returns at once, and never raises."""
        ...


class Probe(Protocol):
    """Who watches. It never raises."""

    def chat_began(self, chat_id: UUID, asked: Mapping[str, Any], *, arrived: float, queue_s: float) -> ChatWatch:
        """A chat was let in, after waiting for so long; `asked` is what Groq will be asked.

        `arrived` is when the request had come, on `time.monotonic`'s clock: the record's times count from there.
        """
        ...

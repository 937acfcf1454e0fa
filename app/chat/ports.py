"""What the chat needs from others, as it needs it: Groq, and a place that keeps rows."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from app.chat.block import Block
from app.chat.record import ChatRecord
from app.core.errors import ServiceError


class UpstreamStream(Protocol):
    """An answer that has begun."""

    async def read(self, timeout_s: float) -> Block:
        """Everything that has come since the last read; waits for more if nothing has.

        Raises TimeoutError when nothing comes in time. A stream that breaks off is a block with an error.
        """
        ...

    async def pause(self, seconds: float) -> None:
        """Lets bytes gather for that long, or until the stream has ended."""
        ...

    async def aclose(self) -> None:
        """Stops the answer, so that Groq stops generating what nobody reads. Bounded in time, and never raises."""
        ...


class Upstream(Protocol):
    """Groq."""

    async def open(self, payload: Mapping[str, Any], *, on_attempt: Callable[[], None]) -> UpstreamStream:
        """Returns when the first byte of an answer is here; raises an UpstreamError if none comes."""
        ...


class ChatLog(Protocol):
    """Where rows are kept."""

    def add(self, record: ChatRecord) -> Awaitable[None]:
        """Queues the row at once, so that cancelling the wait cannot lose it.

        The awaitable is done when the row is durable; it raises NotRecorded if the row could be kept nowhere.
        """
        ...


class Probe(Protocol):
    """Who watches. It never raises."""

    def chat_finished(self, record: ChatRecord, error: ServiceError | None) -> None:
        """Once for each chat, when its row is durable or given up."""
        ...

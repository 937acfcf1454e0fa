"""The same story for a client that does not stream: it is told nothing before the end, and then all of it."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from app.chat.completion import Completion
from app.core.errors import UpstreamUnreadable

_PIECE_BYTES = 2**16


async def whole(events: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """The answer as one JSON object, in pieces, once its receipt has come. Raises what the stream raises."""
    completion = Completion()
    async with aclosing(events):
        async for block in events:
            try:
                completion.add(block)
            except (ValueError, RecursionError) as exc:
                unreadable = UpstreamUnreadable("Groq sent an event that is not what its API describes")
                unreadable.__cause__ = exc
                await events.athrow(unreadable)  # the chat ends with it, and its row says so: it raises
    answer = completion.as_json()
    for start in range(0, len(answer), _PIECE_BYTES):
        yield answer[start : start + _PIECE_BYTES]

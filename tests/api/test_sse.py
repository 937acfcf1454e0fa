"""The response of a stream, with a fake client on a fake clock."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from starlette.types import Message

from app.api.sse import EventStream
from app.core.errors import ClientStalled, Overloaded
from app.services.chat.ports import Connection


@pytest.fixture
def anyio_backend(virtual_time: Any) -> Any:
    return virtual_time


class Client:
    """Accepts messages while `reading` is set, and disconnects when `disconnected` is."""

    def __init__(self) -> None:
        self.received: list[Message] = []
        self.reading = asyncio.Event()
        self.reading.set()
        self.disconnected = asyncio.Event()

    async def send(self, message: Message) -> None:
        await self.reading.wait()
        self.received.append(message)

    async def receive(self) -> Message:
        await self.disconnected.wait()
        return {"type": "http.disconnect"}

    async def read(
        self, blocks: AsyncGenerator[bytes], write_timeout_s: float = 5, connection: Connection | None = None
    ) -> None:
        response = EventStream(blocks, connection or Connection(), write_timeout_s=write_timeout_s)
        await response({"type": "http"}, self.receive, self.send)


class Source:
    """Yields blocks, and records the exception that ended it."""

    def __init__(self, *blocks: bytes, wait: bool = False, raises: Exception | None = None) -> None:
        self._blocks = blocks
        self._wait = wait
        self._raises = raises
        self.ended: BaseException | None = None

    async def stream(self) -> AsyncGenerator[bytes]:
        try:
            for block in self._blocks:
                yield block
            if self._raises:
                raise self._raises
            if self._wait:
                await asyncio.Event().wait()
        except BaseException as end:
            self.ended = end
            raise


async def test_response_starts_with_the_first_block_and_ends_after_the_last() -> None:
    client = Client()
    await client.read(Source(b"one", b"two").stream())
    assert [message.get("body") for message in client.received] == [None, b"one", b"two", b""]
    assert [message.get("more_body") for message in client.received[1:]] == [True, True, False]


async def test_error_before_the_first_block_is_raised_and_nothing_is_sent() -> None:
    client, source = Client(), Source(raises=Overloaded("full"))
    with pytest.raises(Overloaded):
        await client.read(source.stream())
    assert client.received == []


@pytest.mark.parametrize("blocks", [(), (b"one",)])
async def test_disconnect_cancels_the_waiting_generator(blocks: tuple[bytes, ...]) -> None:
    client, source = Client(), Source(*blocks, wait=True)
    reading = asyncio.ensure_future(client.read(source.stream()))
    await asyncio.sleep(0.02)
    client.disconnected.set()
    await asyncio.wait_for(reading, 1)
    assert isinstance(source.ended, asyncio.CancelledError)


async def test_disconnect_while_sending_closes_the_generator() -> None:
    client, source = Client(), Source(b"one", b"two")
    client.reading.clear()
    reading = asyncio.ensure_future(client.read(source.stream()))
    await asyncio.sleep(0.02)
    client.disconnected.set()
    await asyncio.wait_for(reading, 1)
    assert isinstance(source.ended, GeneratorExit)
    assert client.received == []


async def test_write_timeout_raises_client_stalled_in_the_generator() -> None:
    client, source = Client(), Source(b"one", b"two", b"three")

    async def send(message: Message) -> None:
        if message.get("body") == b"two":
            await asyncio.Event().wait()
        client.received.append(message)

    client.send = send  # type: ignore[method-assign]
    await client.read(source.stream(), write_timeout_s=0.05)
    assert isinstance(source.ended, ClientStalled)
    assert client.received[-1]["body"] == b"one"


async def test_write_timeout_limits_the_end_of_the_response_too() -> None:
    client, connection = Client(), Connection()

    async def send(message: Message) -> None:
        if message.get("more_body") is False:
            await asyncio.Event().wait()
        client.received.append(message)

    client.send = send  # type: ignore[method-assign]
    async with asyncio.timeout(60):
        await client.read(Source(b"one").stream(), write_timeout_s=5, connection=connection)
    assert client.received[-1]["body"] == b"one"


async def test_chat_that_continues_is_read_to_its_end_without_its_client() -> None:
    client, source, connection = Client(), Source(b"one", b"two", b"three"), Connection(chat_continues=True)

    async def send(message: Message) -> None:
        if message.get("body") == b"two":
            client.disconnected.set()
            await asyncio.sleep(0.02)
        client.received.append(message)

    client.send = send  # type: ignore[method-assign]
    await client.read(source.stream(), connection=connection)
    assert source.ended is None
    assert client.received[-1]["body"] == b"two"
    assert connection.lost_at is not None


async def test_chat_that_continues_is_read_to_its_end_if_its_client_stalls() -> None:
    client, source, connection = Client(), Source(b"one", b"two", b"three"), Connection(chat_continues=True)

    async def send(message: Message) -> None:
        if message.get("body") == b"two":
            await asyncio.Event().wait()
        client.received.append(message)

    client.send = send  # type: ignore[method-assign]
    await client.read(source.stream(), write_timeout_s=0.05, connection=connection)
    assert source.ended is None
    assert client.received[-1]["body"] == b"one"
    assert connection.lost_at is not None

"""The stream as a response, with a client whose every move the test decides."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from starlette.types import Message

from app.api.sse import EventStream
from app.core.errors import ClientStalled, Overloaded


@pytest.fixture
def anyio_backend(virtual_time: Any) -> Any:
    return virtual_time


class Client:
    """Takes messages while it is willing to."""

    def __init__(self) -> None:
        self.taken: list[Message] = []
        self.willing = asyncio.Event()
        self.willing.set()
        self.left = asyncio.Event()

    async def send(self, message: Message) -> None:
        await self.willing.wait()
        self.taken.append(message)

    async def receive(self) -> Message:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def read(self, blocks: AsyncGenerator[bytes], write_timeout_s: float = 5) -> None:
        await EventStream(blocks, write_timeout_s=write_timeout_s)({"type": "http"}, self.receive, self.send)


class Source:
    """Yields what it is given, and keeps how it ended."""

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


async def test_the_response_starts_with_the_first_block_and_ends_with_the_last() -> None:
    client = Client()
    await client.read(Source(b"one", b"two").stream())
    assert [message.get("body") for message in client.taken] == [None, b"one", b"two", b""]
    assert [message.get("more_body") for message in client.taken[1:]] == [True, True, False]


async def test_an_error_before_the_first_block_leaves_the_status_to_others() -> None:
    client, source = Client(), Source(raises=Overloaded("full"))
    with pytest.raises(Overloaded):
        await client.read(source.stream())
    assert client.taken == []


@pytest.mark.parametrize("blocks", [(), (b"one",)])
async def test_a_client_that_leaves_ends_the_generator_at_once(blocks: tuple[bytes, ...]) -> None:
    client, source = Client(), Source(*blocks, wait=True)
    reading = asyncio.ensure_future(client.read(source.stream()))
    await asyncio.sleep(0.02)
    client.left.set()
    await asyncio.wait_for(reading, 1)
    assert isinstance(source.ended, asyncio.CancelledError)


async def test_a_client_that_leaves_while_a_block_waits_for_it_ends_the_generator() -> None:
    client, source = Client(), Source(b"one", b"two")
    client.willing.clear()
    reading = asyncio.ensure_future(client.read(source.stream()))
    await asyncio.sleep(0.02)
    client.left.set()
    await asyncio.wait_for(reading, 1)
    assert isinstance(source.ended, GeneratorExit)
    assert client.taken == []


async def test_a_client_that_takes_nothing_is_thrown_out() -> None:
    client, source = Client(), Source(b"one", b"two", b"three")

    async def send(message: Message) -> None:
        if message.get("body") == b"two":
            await asyncio.Event().wait()
        client.taken.append(message)

    client.send = send  # type: ignore[method-assign]
    await client.read(source.stream(), write_timeout_s=0.05)
    assert isinstance(source.ended, ClientStalled)
    assert client.taken[-1]["body"] == b"one"

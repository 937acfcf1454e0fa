"""The client against real sockets: the simulator where it can fail that way, replayed bytes where it cannot."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from app.chat.block import Block
from app.core.config import Settings
from app.core.errors import (
    InvalidRequest,
    UpstreamBroken,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnavailable,
    UpstreamUnreachable,
)
from app.groq.client import GroqClient
from app.groq.stream import GroqStream
from tests.groq.test_wire import DONE, STREAM, chunk
from tests.support.replay import OK, chunked, replaying
from tests.support.service import SimulatedGroq

PAYLOAD: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Hi"}], "model": "llama-3.1-8b-instant", "stream": True
}  # fmt: skip


def settings(url: str, **limits: Any) -> Settings:
    return Settings(_env_file=None, groq_api_key="test", groq_base_url=url, groq_retry_wait_s=2, **limits)


async def open_stream(client: GroqClient, attempts: list[None] | None = None) -> GroqStream:
    noted: Callable[[], None] = (lambda: attempts.append(None)) if attempts is not None else (lambda: None)
    return await client.open(PAYLOAD, on_attempt=noted)


async def blocks(stream: GroqStream) -> AsyncIterator[Block]:
    while True:
        block = await stream.read(5)
        yield block
        if block.ended or block.error:
            return


async def test_opening_waits_for_the_first_byte_and_a_pause_ends_with_the_stream(groq: SimulatedGroq) -> None:
    async with GroqClient(settings(groq.url)) as client:
        stream = await open_stream(client)
        first = await stream.read(0.001)
        assert first.data.startswith(b"data: {")
        started = time.monotonic()
        await stream.pause(30)
        assert time.monotonic() - started < 10
        rest = [block async for block in blocks(stream)]
        assert len(rest) <= 2
        assert rest[-1].ended
        await stream.aclose()


async def test_a_connection_serves_one_chat_after_the_other() -> None:
    """The end of the body is waited for, so that the connection goes back to the pool."""
    served: set[Any] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(writer.get_extra_info("peername"))
        while await reader.readuntil(b"\r\n\r\n"):
            await reader.readuntil(b"}")
            writer.writelines([OK, *chunked(STREAM, DONE, end=False)])
            await asyncio.sleep(0.01)
            writer.write(b"0\r\n\r\n")

    async def answer_until_left(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(answer_until_left, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with GroqClient(settings(f"http://127.0.0.1:{port}/openai/v1")) as client:
            for _ in range(3):
                stream = await open_stream(client)
                assert [block async for block in blocks(stream)][-1].ended
                await stream.aclose()
        await asyncio.sleep(0.05)
    assert len(served) == 1


@pytest.mark.parametrize("status", [498, 500, 502, 503, 504])
async def test_groq_s_own_failures_are_tried_again(groq: SimulatedGroq, status: int) -> None:
    groq.fail({"status": status, "times": 2})
    attempts: list[None] = []
    async with GroqClient(settings(groq.url)) as client:
        await (await open_stream(client, attempts)).aclose()
    assert len(attempts) == 3


@pytest.mark.parametrize("status", [400, 404, 413, 422, 424])
async def test_a_refusal_of_the_request_is_not_tried_again(groq: SimulatedGroq, status: int) -> None:
    groq.fail({"status": status})
    attempts: list[None] = []
    async with GroqClient(settings(groq.url)) as client:
        with pytest.raises(UpstreamRejected) as caught:
            await open_stream(client, attempts)
    assert caught.value.status == status
    assert caught.value.groq_request_id
    assert caught.value.groq_request_id.startswith("req_")
    assert len(attempts) == 1


async def test_attempts_are_bounded(groq: SimulatedGroq) -> None:
    groq.fail({"status": 503})
    attempts: list[None] = []
    async with GroqClient(settings(groq.url)) as client:
        with pytest.raises(UpstreamUnavailable):
            await open_stream(client, attempts)
    assert len(attempts) == 3


async def test_retry_after_is_obeyed_if_it_fits_and_passed_on_if_not(groq: SimulatedGroq) -> None:
    groq.fail({"status": 429, "retry_after_s": 1, "times": 1}, {"status": 429, "retry_after_s": 9})
    attempts: list[None] = []
    async with GroqClient(settings(groq.url)) as client:
        started = time.monotonic()
        with pytest.raises(UpstreamRateLimited) as caught:
            await open_stream(client, attempts)
        assert time.monotonic() - started >= 1
    assert caught.value.retry_after == 9
    assert len(attempts) == 2


async def test_silence_before_the_first_byte_is_a_timeout(groq: SimulatedGroq) -> None:
    groq.fail({"first_byte_delay_s": 10})
    async with GroqClient(settings(groq.url, groq_first_byte_timeout_s=0.2, groq_max_attempts=1)) as client:
        with pytest.raises(UpstreamTimeout, match=r"nothing within 0\.2 s"):
            await open_stream(client)


async def test_nobody_at_the_address_is_unreachable_and_not_a_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    async with GroqClient(settings(f"http://127.0.0.1:{port}/v1", groq_max_attempts=1)) as client:
        with pytest.raises(UpstreamUnreachable):
            await open_stream(client)


async def test_an_address_that_does_not_accept_is_a_timeout() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):  # the backlog is full now
            limits = {"groq_connect_timeout_s": 0.2, "groq_max_attempts": 1}
            async with GroqClient(settings(f"http://127.0.0.1:{port}/v1", **limits)) as client:
                with pytest.raises(UpstreamTimeout, match=r"no connection to Groq within 0\.2 s"):
                    await open_stream(client)


async def test_a_connection_that_closes_without_an_answer_is_unreachable() -> None:
    with replaying([]) as url:
        async with GroqClient(settings(url, groq_max_attempts=1)) as client:
            with pytest.raises(UpstreamUnreachable):
                await open_stream(client)


async def test_what_came_before_the_connection_broke_is_not_lost() -> None:
    """Blocks that gathered during a pause are relayed, then the failure is told."""
    pieces = [OK, *chunked(chunk({"content": "one"}), chunk({"content": "two"}), end=False)]
    with replaying(pieces, pause_s=0.02) as url:
        async with GroqClient(settings(url)) as client:
            stream = await open_stream(client)
            first = await stream.read(1)
            await stream.pause(0.2)
            last = await stream.read(1)
            await stream.aclose()
    assert first.text == ["one"]
    assert last.text == ["two"]
    assert isinstance(last.error, UpstreamBroken)


async def test_an_error_that_comes_first_is_raised_and_may_be_tried_again() -> None:
    event = b'event: error\ndata: {"error":{"message":"busy","status_code":503}}\n\n'
    attempts: list[None] = []
    with replaying([OK, *chunked(event)]) as url:
        async with GroqClient(settings(url)) as client:
            with pytest.raises(UpstreamUnavailable, match="busy"):
                await open_stream(client, attempts)
    assert len(attempts) == 3


async def test_half_a_surrogate_pair_cannot_be_sent_and_is_the_caller_s(groq: SimulatedGroq) -> None:
    async with GroqClient(settings(groq.url)) as client:
        with pytest.raises(InvalidRequest, match="surrogate"):
            await client.open({**PAYLOAD, "user": "\ud800"}, on_attempt=lambda: None)

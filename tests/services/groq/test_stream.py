"""Streams over real sockets."""

import asyncio
from typing import Any

import pytest

from app.core.upstream import Attempt, UpstreamBroken, UpstreamUnavailable
from app.services.groq_client import GroqClient
from tests.services.groq.clients import blocks, open_stream, read_all, settings
from tests.services.groq.shapes import DONE, STREAM, chunk
from tests.support.replay import OK, chunked, replaying
from tests.support.service import SimulatedGroq


async def test_opening_waits_for_the_first_token(groq: SimulatedGroq) -> None:
    async with GroqClient(settings(groq.url)) as client:
        stream = await open_stream(client)
        first = await asyncio.wait_for(stream.read(), 0.01)
        assert first.data.startswith(b"data: {")
        rest = [block async for block in blocks(stream)]
        assert rest[-1].ended
        await stream.aclose()


async def test_a_connection_is_reused() -> None:
    """The end of the body is waited for, so that the connection goes back to the pool."""
    served: set[Any] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while b"POST" in (head := await reader.readuntil(b"\r\n\r\n")):  # and not GET /models
            served.add(writer.get_extra_info("peername"))
            await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split()[0]))
            writer.writelines([OK, *chunked(STREAM, DONE, end=False)])
            await asyncio.sleep(0.01)
            writer.write(b"0\r\n\r\n")

    async def answer_until_left(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        except asyncio.IncompleteReadError:
            pass
        finally:
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


@pytest.mark.parametrize(
    "writes",
    [
        [*chunked(STREAM, DONE, end=False)],
        [*chunked(STREAM, end=False)],
        [*chunked(STREAM, DONE[:8], end=False)],
        [*chunked(STREAM, DONE[:8])],
    ],
)
@pytest.mark.parametrize("flush_ms", [0, 16, 1000])
async def test_an_answer_with_a_finish_reason_is_complete_however_the_connection_ends(
    writes: list[bytes], flush_ms: float
) -> None:
    with replaying([OK, *writes], reset=True) as url:
        async with GroqClient(settings(url, stream_flush_ms=flush_ms)) as client:
            stream = await open_stream(client)
            read = [block async for block in blocks(stream)]
            await stream.aclose()
    assert [block.error for block in read if block.error] == []
    assert read[-1].ended
    assert b"".join(block.data for block in read) == STREAM


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ({"groq_max_event_bytes": 1000}, "more than an event's size before its first token"),
        ({"chat_max_stream_bytes": 1000}, "longer than 1000 bytes"),
    ],
)
async def test_a_stream_is_limited_before_and_after_its_first_token(limit: dict[str, int], words: str) -> None:
    opening = [chunk({"role": "assistant"})] * 20
    writes = chunked(*opening) if "groq_max_event_bytes" in limit else chunked(STREAM)
    with replaying([OK, *writes]) as url:
        async with GroqClient(settings(url, **limit)) as client:
            with pytest.raises(UpstreamBroken, match=words):
                raise (await read_all(client))[-1].error or AssertionError("it is not limited")


async def test_an_answer_in_an_encoding_that_nobody_asked_for_is_refused() -> None:
    compressed = OK.replace(b"\r\n\r\n", b"\r\ncontent-encoding: secret\r\n\r\n")
    with replaying([compressed, *chunked(STREAM)]) as url:
        async with GroqClient(settings(url)) as client:
            with pytest.raises(UpstreamBroken, match=r"compressed \(secret\)"):
                await open_stream(client)


async def test_comments_before_the_first_chunk_do_not_prevent_a_retry() -> None:
    comment = b": waking up\n\n"
    busy = b'event: error\ndata: {"error":{"message":"busy","status_code":503}}\n\n'
    attempts: list[Attempt] = []
    with replaying([OK, *chunked(comment, busy)], pause_s=0.01) as url:
        async with GroqClient(settings(url)) as client:
            with pytest.raises(UpstreamUnavailable):
                await open_stream(client, attempts)
    assert len(attempts) == 3

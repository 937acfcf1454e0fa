"""How an answer is paced, over real sockets: fast tokens share a block, slow ones and the end wait for nothing."""

import asyncio
import time

import pytest

from app.core.errors import UpstreamBroken, UpstreamRejected
from app.groq.client import GroqClient
from app.services.chat.block import Block
from tests.groq.clients import blocks, open_stream, settings
from tests.groq.shapes import DONE, chunk
from tests.support.replay import OK, chunked, replaying

_WORDS = [chunk({"content": f"{number} "}) for number in range(20)]
_STOP = chunk({}, "stop")


async def read(writes: list[bytes], *, flush_ms: float, pause_s: float = 0, reset: bool = False) -> list[Block]:
    with replaying(writes, pause_s=pause_s, reset=reset) as url:
        async with GroqClient(settings(url, stream_flush_ms=flush_ms)) as client:
            stream = await open_stream(client)
            read = [block async for block in blocks(stream)]
            await stream.aclose()
    return read


async def test_tokens_that_come_within_a_frame_come_in_one_block() -> None:
    answer = await read([OK, *chunked(*_WORDS, _STOP, DONE)], flush_ms=500, pause_s=0.002)
    first, *rest = answer
    assert first.text == ["0 "]
    words = [len(block.text) for block in rest if block.text]
    assert sum(words) == 19
    assert len(words) <= 2  # a frame may end meanwhile
    assert b"".join(block.data for block in answer) == b"".join([*_WORDS, _STOP])


async def test_a_stream_that_is_slower_than_the_frames_is_passed_on_as_it_comes() -> None:
    answer = await read([OK, *chunked(*_WORDS[:5], _STOP, DONE)], flush_ms=1, pause_s=0.02)
    assert [block.text for block in answer if block.text] == [[f"{number} "] for number in range(5)]


async def test_nothing_is_gathered_where_that_is_switched_off() -> None:
    answer = await read([OK, *chunked(*_WORDS[:5], _STOP, DONE)], flush_ms=0, pause_s=0.01)
    assert [len(block.text) for block in answer if block.text] == [1] * 5


@pytest.mark.parametrize(
    "last",
    [
        [*chunked(_STOP, DONE)],
        [*chunked(b'event: error\ndata: {"error":{"message":"no","status_code":400}}\n\n', end=False)],
        [*chunked(_STOP, DONE, end=False)],
        [b""],
        [b"ZZZ\r\n"],
    ],
    ids=["end", "error", "end of the events", "cut", "nonsense"],
)
async def test_the_end_and_an_error_are_not_held_back(last: list[bytes]) -> None:
    started = time.monotonic()
    answer = await read([OK, *chunked(*_WORDS[:3], end=False), *last], flush_ms=1000, pause_s=0.01)
    assert time.monotonic() - started < 0.9
    assert "".join(text for block in answer for text in block.text) == "0 1 2 "
    if len(last) == 1:
        assert isinstance(answer[-1].error, UpstreamBroken | UpstreamRejected)


async def test_what_was_gathered_before_the_connection_broke_is_not_lost() -> None:
    answer = await read([OK, *chunked(*_WORDS[:3], end=False)], flush_ms=1000, pause_s=0.05, reset=True)
    assert "".join(text for block in answer for text in block.text) == "0 1 2 "
    assert isinstance(answer[-1].error, UpstreamBroken)


async def test_a_fast_answer_is_not_gathered_without_end() -> None:
    """A frame of a second holds no more than one piece of it."""
    large = [chunk({"content": "x" * 40_000}) for _ in range(4)]
    answer = await read([OK, *chunked(*large, _STOP, DONE)], flush_ms=1000, pause_s=0.05)
    assert max(len(block.data) for block in answer) < 130_000


async def test_a_stream_that_is_left_takes_its_connection_along() -> None:
    with replaying([OK, *chunked(*_WORDS, end=False)], pause_s=0.05) as url:
        async with GroqClient(settings(url, stream_flush_ms=1000)) as client:
            stream = await open_stream(client)
            await stream.read()
            await stream.aclose()
            await asyncio.sleep(0.1)
            second = await open_stream(client)
            assert (await second.read()).text == ["0 "]
            await second.aclose()


async def test_an_answer_that_comes_at_once_leaves_its_connection_alone() -> None:
    whole = b"".join(chunked(*_WORDS[:3], _STOP, DONE))
    answer = await read([OK + whole], flush_ms=1000)
    assert "".join(text for block in answer for text in block.text) == "0 1 2 "
    assert answer[-1].ended

"""How tokens are grouped into blocks, over real sockets: fast ones share one, slow ones and the end are not delayed."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from app.core.upstream import UpstreamBroken, UpstreamRejected
from app.services.chat.block import Block
from app.services.groq.flush_scheduler import FlushScheduler
from app.services.groq_client import GroqClient
from tests.services.groq.clients import blocks, open_stream, settings
from tests.services.groq.shapes import DONE, chunk
from tests.support.replay import OK, chunked, replaying

_WORDS = [chunk({"content": f"{number} "}) for number in range(20)]
_STOP = chunk({}, "stop")
_FAILED = b'event: error\ndata: {"error":{"message":"no","status_code":400}}\n\n'


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Their transports differ, and the service runs on both."""
    return "asyncio", {"use_uvloop": request.param}


async def read(writes: list[bytes], *, flush_ms: float, **pacing: Any) -> list[Block]:
    with replaying(writes, **pacing) as url:
        async with GroqClient(settings(url, stream_flush_ms=flush_ms)) as client:
            stream = await open_stream(client)
            answer = [block async for block in blocks(stream)]
            await stream.aclose()
    return answer


def text_of(answer: list[Block]) -> str:
    return "".join(text for block in answer for text in block.text)


async def test_tokens_of_one_interval_share_a_block() -> None:
    answer = await read([OK, *chunked(*_WORDS, _STOP, DONE)], flush_ms=500, pause_s=0.002)
    first, *rest = answer
    assert first.text[0] == "0 "
    words = [len(block.text) for block in rest if block.text]
    assert len(first.text) + sum(words) == 20
    assert len(words) <= 2  # an interval may end meanwhile
    assert b"".join(block.data for block in answer) == b"".join([*_WORDS, _STOP])


async def test_a_stream_that_is_slower_than_the_interval_is_passed_on_as_it_arrives() -> None:
    answer = await read([OK, *chunked(*_WORDS[:5], _STOP, DONE)], flush_ms=1, pause_s=0.2)
    assert [block.text for block in answer if block.text] == [[f"{number} "] for number in range(5)]


async def test_without_an_interval_every_token_is_passed_on_as_it_arrives() -> None:
    answer = await read([OK, *chunked(*_WORDS[:5], _STOP, DONE)], flush_ms=0, pause_s=0.2)
    assert [len(block.text) for block in answer if block.text] == [1] * 5


@pytest.mark.parametrize(
    "last",
    [
        [*chunked(_STOP, DONE)],
        [*chunked(_FAILED)],
        [*chunked(_FAILED, end=False)],
        [*chunked(_STOP, DONE, end=False)],
        [b""],
    ],
    ids=["end", "error", "error, and the connection ends", "[DONE], and the connection ends", "the connection ends"],
)
async def test_neither_the_end_nor_an_error_waits_for_the_interval(
    last: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_a_minute(_: FlushScheduler, __: float) -> float:
        return asyncio.get_running_loop().time() + 60

    monkeypatch.setattr(FlushScheduler, "next_flush", in_a_minute)
    async with asyncio.timeout(30):
        answer = await read([OK, *chunked(*_WORDS[:3], end=False), *last], flush_ms=1000, pause_s=0.01)
    assert text_of(answer) == "0 1 2 "
    if last[0] == chunked(_STOP)[0]:
        assert answer[-1].ended
    else:
        assert isinstance(answer[-1].error, UpstreamBroken | UpstreamRejected)


@pytest.mark.parametrize(
    "last",
    [[*chunked(_STOP, DONE, end=False)], [*chunked(_FAILED, end=False)], [b"ZZZ\r\n"]],
    ids=["[DONE]", "error", "what is not HTTP"],
)
async def test_an_end_on_a_connection_that_stays_open_is_read_with_the_next_block(last: list[bytes]) -> None:
    """The text is looked at once it is read. Groq ends the body with it, which is noticed at once."""
    writes = [OK, *chunked(*_WORDS[:3], end=False), *last]
    async with asyncio.timeout(60):
        answer = await read(writes, flush_ms=100, pause_s=0.01, hold_s=20)
    assert text_of(answer) == "0 1 2 "
    assert answer[-1].ended or isinstance(answer[-1].error, UpstreamBroken | UpstreamRejected)


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("flush_ms", [0, 1000])
async def test_what_arrived_before_the_connection_broke_is_passed_on(flush_ms: float, *, reset: bool) -> None:
    writes = [OK, *chunked(*_WORDS[:3], end=False)]
    answer = await read(writes, flush_ms=flush_ms, pause_s=0.05, reset=reset)
    assert text_of(answer) == "0 1 2 "
    assert isinstance(answer[-1].error, UpstreamBroken)


async def test_what_arrived_while_nobody_read_is_passed_on_after_the_connection_broke() -> None:
    """As when the client is slow: the error is known before the last bytes are read."""
    with replaying([OK, *chunked(*_WORDS[:3], end=False)], pause_s=0.01, reset=True) as url:
        async with GroqClient(settings(url, stream_flush_ms=0)) as client:
            stream = await open_stream(client)
            await asyncio.sleep(0.2)
            answer = [block async for block in blocks(stream)]
            await stream.aclose()
    assert text_of(answer) == "0 1 2 "
    assert isinstance(answer[-1].error, UpstreamBroken)


async def test_a_block_is_bounded_however_fast_the_answer_is() -> None:
    large = [chunk({"content": "x" * 40_000}) for _ in range(20)]
    answer = await read([OK, *chunked(*large, _STOP, DONE)], flush_ms=300)
    assert len(text_of(answer)) == 800_000
    assert max(len(block.data) for block in answer) < 500_000


async def test_closing_a_stream_during_an_interval_closes_its_connection() -> None:
    with replaying([OK, *chunked(*_WORDS, end=False)], pause_s=0.05) as url:
        async with GroqClient(settings(url, stream_flush_ms=1000)) as client:
            stream = await open_stream(client)
            await stream.read()
            await stream.aclose()
            await asyncio.sleep(0.1)
            second = await open_stream(client)
            assert (await second.read()).text == ["0 "]
            await second.aclose()


async def test_a_read_that_is_cancelled_during_an_interval_loses_nothing() -> None:
    with replaying([OK, *chunked(*_WORDS, _STOP, DONE)], pause_s=0.005) as url:
        async with GroqClient(settings(url, stream_flush_ms=200)) as client:
            stream = await open_stream(client)
            answer = [await stream.read()]
            for _ in range(5):
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.005):
                        answer.append(await stream.read())
            answer += [block async for block in blocks(stream)]
            await stream.aclose()
    assert b"".join(block.data for block in answer) == b"".join([*_WORDS, _STOP])


async def test_an_answer_that_arrives_at_once_is_read_at_once() -> None:
    whole = b"".join(chunked(*_WORDS[:3], _STOP, DONE))
    answer = await read([OK + whole], flush_ms=1000)
    assert text_of(answer) == "0 1 2 "
    assert answer[-1].ended

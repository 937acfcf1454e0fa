"""Timeouts and keepalives of a chat, with a fake provider on a fake clock."""

import asyncio
import json
from contextlib import aclosing
from dataclasses import replace

import pytest

from app.core.outcomes import Outcome
from app.core.upstream import UpstreamBroken, UpstreamTimeout
from app.services.chat.block import DONE, KEEPALIVE, Block
from tests.services.fakes import END, WORD, ServiceUnderTest

COMMENT = Block(data=b": from Groq\n\n")


def message(event: bytes) -> str:
    text: str = json.loads(event.split(b"data: ")[1])["error"]["message"]
    return text


async def test_keepalive_comments_are_sent_during_a_long_silence() -> None:
    resume = asyncio.Event()
    sut = ServiceUnderTest(WORD, resume, WORD, END, stream_keepalive_s=0.03)
    asyncio.get_running_loop().call_later(0.1, resume.set)
    first, *comments, last_word, done = await sut.run()
    assert (first, last_word, done) == (WORD.data, WORD.data, b"data: [DONE]\n\n")
    assert set(comments) == {KEEPALIVE}
    assert KEEPALIVE.startswith(b":")
    assert KEEPALIVE.endswith(b"\n\n")
    assert sut.record.response == "wordword"
    assert sut.record.details.longest_silence_ms >= 90


async def test_no_keepalive_before_the_first_block() -> None:
    """A keepalive would send status 200 for a chat that may still fail."""
    resume = asyncio.Event()
    sut = ServiceUnderTest(WORD, END, stream_keepalive_s=0.01)
    open_at_once = sut.upstream.open

    async def open_late(*args: object, **kwargs: object) -> object:
        await resume.wait()
        return await open_at_once(*args, **kwargs)  # type: ignore[arg-type]

    sut.upstream.open = open_late  # type: ignore[method-assign,assignment]
    asyncio.get_running_loop().call_later(0.05, resume.set)
    assert (await sut.run())[0] == WORD.data


async def test_comments_do_not_reset_the_inter_token_timeout() -> None:
    sut = ServiceUnderTest(WORD, COMMENT, asyncio.Event(), inter_token_timeout_s=6, stream_keepalive_s=2)
    *_, last = await sut.run()
    assert message(last) == "the model sent no token for 6 s"
    assert (sut.record.outcome, sut.record.error_code) == (Outcome.UPSTREAM_TIMEOUT, "upstream_timeout")
    assert sut.record.details.longest_silence_ms >= 50


async def test_chat_timeout_is_reported_as_such() -> None:
    sut = ServiceUnderTest(WORD, WORD, asyncio.Event(), chat_timeout_s=0.05, stream_keepalive_s=0.02)
    *_, last = await sut.run()
    assert message(last) == "the chat took longer than 0.05 s"


async def test_chat_timeout_before_the_first_block_is_a_504() -> None:
    sut = ServiceUnderTest(WORD, END, chat_timeout_s=0.05)

    async def never(*_: object, **__: object) -> object:
        await asyncio.Event().wait()
        return None

    sut.upstream.open = never  # type: ignore[method-assign,assignment]
    with pytest.raises(UpstreamTimeout, match=r"longer than 0\.05 s"):
        await sut.run()
    assert sut.record.http_status == 504


async def test_answer_over_the_limit_ends_the_chat() -> None:
    """It has to fit into memory and into a row."""
    sut = ServiceUnderTest(*[WORD] * 100, END, chat_max_answer_bytes=20)
    *words, last = await sut.run()
    assert len(words) == 6
    assert message(last) == "the answer is longer than 20 bytes"
    assert (sut.record.outcome, sut.record.response) == (Outcome.UPSTREAM_ERROR, "word" * 6)
    assert sut.upstream.closed


async def test_answer_over_the_limit_is_not_complete_although_its_last_block_ends_it() -> None:
    sut = ServiceUnderTest(replace(END, text=["word" * 6]), chat_max_answer_bytes=20)
    with pytest.raises(UpstreamBroken, match="longer than 20 bytes"):
        await sut.run()
    assert sut.record.outcome is Outcome.UPSTREAM_ERROR


async def test_the_chat_timeout_ends_a_stream_whose_blocks_are_always_ready() -> None:
    sut = ServiceUnderTest(*[WORD] * 9, END, chat_timeout_s=5)
    async with aclosing(sut.stream()) as blocks:
        await anext(blocks)
        await asyncio.sleep(5)
        assert message(await anext(blocks)) == "the chat took longer than 5 s"
    assert sut.record.response == "word"


async def test_the_time_that_a_client_takes_is_no_silence_of_the_model() -> None:
    sut = ServiceUnderTest(WORD, WORD, END, inter_token_timeout_s=1)
    async with aclosing(sut.stream()) as blocks:
        await anext(blocks)
        await asyncio.sleep(5)
        assert [block async for block in blocks] == [WORD.data, DONE]
    assert sut.record.details.backpressure_ms == pytest.approx(5000, abs=1)


async def test_silences_between_tokens_are_not_added_up() -> None:
    silences = [asyncio.Event() for _ in range(4)]
    sut = ServiceUnderTest(*[event for silence in silences for event in (silence, WORD)], END, inter_token_timeout_s=1)
    for number, silence in enumerate(silences, 1):
        asyncio.get_running_loop().call_later(0.8 * number, silence.set)
    assert (await sut.run())[-1] == DONE
    assert sut.record.details.longest_silence_ms == pytest.approx(800, abs=1)


async def test_the_timeout_of_the_chat_includes_the_wait_for_the_first_block() -> None:
    resume = asyncio.Event()
    sut = ServiceUnderTest(WORD, asyncio.Event(), chat_timeout_s=5, stream_keepalive_s=60)
    open_at_once = sut.upstream.open

    async def open_late(*args: object, **kwargs: object) -> object:
        await resume.wait()
        return await open_at_once(*args, **kwargs)  # type: ignore[arg-type]

    sut.upstream.open = open_late  # type: ignore[method-assign,assignment]
    loop = asyncio.get_running_loop()
    began = loop.time()
    loop.call_later(4, resume.set)
    *_, last = await sut.run()
    assert message(last) == "the chat took longer than 5 s"
    assert loop.time() - began == pytest.approx(5, abs=0.1)

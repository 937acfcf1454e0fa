"""How long a chat waits for Groq, with a Groq that the test lets speak."""

import asyncio
import json

import pytest

from app.chat.block import Block
from app.chat.events import KEEPALIVE
from app.core.errors import UpstreamTimeout
from app.core.outcomes import Outcome
from tests.chat.fakes import END, WORD, Stage

COMMENT = Block(data=b": from Groq\n\n")


def message(event: bytes) -> str:
    text: str = json.loads(event.split(b"data: ")[1])["error"]["message"]
    return text


async def test_a_long_silence_is_bridged_with_comments_between_events() -> None:
    speak = asyncio.Event()
    stage = Stage(WORD, speak, WORD, END, stream_keepalive_s=0.03)
    asyncio.get_running_loop().call_later(0.1, speak.set)
    first, *comments, last_word, done = await stage.run()
    assert (first, last_word, done) == (WORD.data, WORD.data, b"data: [DONE]\n\n")
    assert set(comments) == {KEEPALIVE}
    assert KEEPALIVE.startswith(b":")
    assert KEEPALIVE.endswith(b"\n\n")
    assert stage.record.response == "wordword"
    assert stage.record.details.longest_silence_ms >= 90


async def test_nothing_is_bridged_before_the_first_byte() -> None:
    """It would be a 200 for a chat that may yet fail."""
    speak = asyncio.Event()
    stage = Stage(WORD, END, stream_keepalive_s=0.01)
    open_at_once = stage.groq.open

    async def open_late(*args: object, **kwargs: object) -> object:
        await speak.wait()
        return await open_at_once(*args, **kwargs)  # type: ignore[arg-type]

    stage.groq.open = open_late  # type: ignore[method-assign,assignment]
    asyncio.get_running_loop().call_later(0.05, speak.set)
    assert (await stage.run())[0] == WORD.data


async def test_comments_are_no_tokens_and_do_not_end_a_silence() -> None:
    stage = Stage(WORD, COMMENT, asyncio.Event(), chat_gap_timeout_s=0.06, stream_keepalive_s=0.02)
    *_, last = await stage.run()
    assert message(last) == "Groq fell silent for 0.06 s"
    assert (stage.record.outcome, stage.record.error_code) == (Outcome.UPSTREAM_TIMEOUT, "upstream_timeout")
    assert stage.record.details.longest_silence_ms >= 50


async def test_the_limit_of_the_whole_chat_is_the_last_word() -> None:
    stage = Stage(WORD, WORD, asyncio.Event(), chat_timeout_s=0.05, stream_keepalive_s=0.02)
    *_, last = await stage.run()
    assert message(last) == "the chat took longer than 0.05 s"


async def test_a_chat_that_waits_too_long_for_its_opening_is_a_timeout_with_a_status() -> None:
    stage = Stage(WORD, END, chat_timeout_s=0.05)

    async def never(*_: object, **__: object) -> object:
        await asyncio.Event().wait()
        return None

    stage.groq.open = never  # type: ignore[method-assign,assignment]
    with pytest.raises(UpstreamTimeout, match=r"longer than 0\.05 s"):
        await stage.run()
    assert stage.record.http_status == 504


async def test_an_answer_without_an_end_is_ended() -> None:
    """A row has to hold it, and so has the memory until then."""
    stage = Stage(*[WORD] * 100, END, chat_max_answer_bytes=20)
    *words, last = await stage.run()
    assert len(words) == 6
    assert message(last) == "Groq's answer is longer than 20 bytes"
    assert (stage.record.outcome, stage.record.response) == (Outcome.UPSTREAM_ERROR, "word" * 6)
    assert stage.groq.closed

"""The story for a client that does not stream: nothing before the end, so that every failure has its status."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from app.chat.block import Block, Usage
from app.chat.whole import whole
from app.core.errors import NotRecorded, ServerDraining, UpstreamBroken, UpstreamTimeout
from app.core.outcomes import Outcome
from app.core.record import Kept
from app.schemas.chat import ChatRequest
from tests.chat.fakes import Stage
from tests.support.bodies import parsed

REQUEST = parsed({"messages": [{"role": "user", "content": "Hi"}], "temperature": 0.5}, ChatRequest)
OPENING = Block(data=b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n', chunks=1)
WORD = Block(data=b'data: {"choices":[{"index":0,"delta":{"content":"word"}}]}\n\n', text=["word"], chunks=1, deltas=1)
FINAL = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
END = Block(data=FINAL, chunks=1, finish_reason="stop", usage=Usage(7, 3), ended=True)


def asked(stage: Stage) -> AsyncGenerator[bytes]:
    return whole(stage.stream(request=REQUEST))


async def answer(stage: Stage) -> Any:
    return json.loads(b"".join([piece async for piece in asked(stage)]))


async def test_the_answer_comes_at_once_and_groq_is_asked_for_a_stream() -> None:
    stage = Stage(OPENING, WORD, WORD, END)
    message = (await answer(stage))["choices"][0]["message"]
    assert message == {"role": "assistant", "content": "wordword"}
    assert stage.groq.payload["stream"] is True
    assert stage.groq.payload["stream_options"] == {"include_usage": True}
    assert (stage.record.outcome, stage.record.response, stage.record.http_status) == (
        Outcome.COMPLETED, "wordword", 200,
    )  # fmt: skip
    assert stage.record.params == {"temperature": 0.5, "stream": False}
    assert not stage.record.details.streamed


async def test_nothing_is_sent_before_the_row_is_durable() -> None:
    stage = Stage(WORD, END)
    stage.log.hold = True
    first = asyncio.ensure_future(anext(pieces := asked(stage)))
    await asyncio.sleep(0.05)
    assert not first.done()
    stage.log.waiting[0].set_result(Kept.DATABASE)
    assert json.loads(await first)["object"] == "chat.completion"
    await pieces.aclose()


async def test_a_failure_in_the_middle_is_raised_with_its_status_and_the_row_keeps_what_there_was() -> None:
    stage = Stage(WORD, Block(error=UpstreamBroken("broke off")))
    with pytest.raises(UpstreamBroken, match="broke off"):
        await answer(stage)
    assert (stage.record.outcome, stage.record.http_status) == (Outcome.UPSTREAM_ERROR, 502)
    assert (stage.record.response, stage.record.usage_source) == ("word", "estimated")
    assert stage.groq.closed


async def test_an_end_without_a_finish_reason_is_no_answer() -> None:
    stage = Stage(WORD, Block(ended=True, early_stop="the model stumbled"))
    with pytest.raises(UpstreamBroken, match="the model stumbled"):
        await answer(stage)


@pytest.mark.parametrize("ended", [False, True])
async def test_what_cannot_be_read_is_a_failure_of_groq_s(*, ended: bool) -> None:
    """A line end within an event cuts it, for whoever reads by the standard."""
    cut = Block(data=b'data: {"choices":\n[]}\n\n', chunks=1, finish_reason="stop" if ended else None, ended=ended)
    stage = Stage(WORD, cut, END)
    with pytest.raises(UpstreamBroken, match="not what its API describes"):
        await answer(stage)
    assert (stage.record.outcome, stage.record.http_status) == (Outcome.UPSTREAM_ERROR, 502)
    assert stage.record.error_code == "upstream_broken"
    assert stage.groq.closed


@pytest.mark.parametrize("nested", ["9" * 5000, '{"x":' * 5000 + "1" + "}" * 5000], ids=["a number", "an object"])
async def test_so_is_what_the_relay_may_skip_and_an_answer_needs(nested: str) -> None:
    """A number too long for Python, or an object too deep to be merged, in the chunk that ends the answer."""
    last = FINAL.replace(b'"delta":{}', b'"delta":{"x":%s}' % nested.encode())
    stage = Stage(WORD, Block(data=last, chunks=1, finish_reason="stop", ended=True))
    with pytest.raises(UpstreamBroken, match="not what its API describes"):
        await answer(stage)
    assert (stage.record.outcome, stage.record.http_status) == (Outcome.UPSTREAM_ERROR, 502)
    record, error = stage.probe.finished_chats[0]
    assert (record.outcome, error is not None) == (Outcome.UPSTREAM_ERROR, True)


async def test_comments_over_a_silence_are_no_beginning() -> None:
    stage = Stage(WORD, asyncio.Event(), stream_keepalive_s=0.01, chat_gap_timeout_s=0.05)
    with pytest.raises(UpstreamTimeout, match="fell silent"):
        await answer(stage)
    assert stage.record.http_status == 504


async def test_a_server_that_stops_says_so_with_a_status() -> None:
    stage = Stage(WORD, asyncio.Event())
    running = asyncio.ensure_future(answer(stage))
    await asyncio.sleep(0.05)
    stage.drain.end()
    with pytest.raises(ServerDraining):
        await running
    assert (stage.record.outcome, stage.record.http_status) == (Outcome.DRAINING, 503)


async def test_an_answer_whose_row_is_lost_is_not_sent() -> None:
    stage = Stage(WORD, END)
    stage.log.lose = True
    with pytest.raises(NotRecorded):
        await answer(stage)
    record, _ = stage.probe.finished_chats[0]
    assert (record.outcome, record.error_code, record.http_status) == (Outcome.NOT_RECORDED, "not_recorded", 500)


async def test_a_client_that_leaves_stops_groq() -> None:
    stage = Stage(WORD, asyncio.Event())
    running = asyncio.ensure_future(answer(stage))
    await asyncio.sleep(0.05)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (stage.record.outcome, stage.record.http_status) == (Outcome.CLIENT_DISCONNECTED, 499)
    assert stage.record.response == "word"
    assert stage.groq.closed


async def test_a_long_answer_leaves_in_pieces_so_that_a_client_that_takes_none_is_noticed() -> None:
    word = "x" * 200_000
    data = b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % word.encode()
    stage = Stage(Block(data=data, text=[word], chunks=1, deltas=1), END)
    pieces = [piece async for piece in asked(stage)]
    assert len(pieces) == 4
    assert json.loads(b"".join(pieces))["choices"][0]["message"]["content"] == word

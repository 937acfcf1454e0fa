"""The story, with a Groq and a log whose every move the test decides."""

import asyncio
import json
from contextlib import aclosing
from uuid import uuid4

import pytest

from app.chat.block import Block, Usage
from app.chat.events import DONE
from app.core.errors import ClientStalled, NotRecorded, Overloaded, ServiceError, UpstreamBroken, UpstreamUnavailable
from app.core.outcomes import Outcome
from app.core.record import Kept
from tests.chat.fakes import END, OPENING, WORD, Stage


async def test_blocks_pass_as_they_came_and_the_receipt_is_last() -> None:
    stage = Stage(OPENING, WORD, WORD, END)
    assert await stage.run() == [OPENING.data, WORD.data, WORD.data, DONE]
    assert stage.groq.closed
    assert stage.record.outcome is Outcome.COMPLETED
    assert stage.record.response == "wordword"
    assert (stage.record.prompt_tokens, stage.record.completion_tokens) == (7, 3)
    assert stage.probe.finished_chats == [(stage.record, None)]


async def test_the_receipt_waits_until_the_row_is_durable() -> None:
    stage = Stage(WORD, END)
    stage.log.hold = True
    async with aclosing(stage.stream()) as blocks:
        assert await anext(blocks) == WORD.data
        receipt = asyncio.ensure_future(anext(blocks))
        await asyncio.sleep(0.05)
        assert not receipt.done()
        stage.log.waiting[0].set_result(Kept.DATABASE)
        assert await receipt == DONE


async def test_a_row_that_is_lost_means_no_receipt() -> None:
    stage = Stage(WORD, END)
    stage.log.lose = True
    *_, last = await stage.run()
    assert last.startswith(b"event: error\n")
    assert json.loads(last.split(b"data: ")[1])["error"]["code"] == "not_recorded"
    record, error = stage.probe.finished_chats[0]
    assert (record.outcome, record.error_code) == (Outcome.NOT_RECORDED, "not_recorded")
    assert error is None
    assert isinstance(stage.probe.lost[0], NotRecorded)


async def test_a_failed_chat_whose_row_is_lost_still_tells_its_client_why_it_failed() -> None:
    stage = Stage(WORD, Block(error=UpstreamBroken("broke off")))
    stage.log.lose = True
    *_, last = await stage.run()
    assert b"broke off" in last
    record, error = stage.probe.finished_chats[0]
    assert record.outcome is Outcome.NOT_RECORDED
    assert isinstance(error, UpstreamBroken)
    assert isinstance(stage.probe.lost[0], NotRecorded)


async def test_a_failure_before_the_first_byte_is_raised_after_its_row_is_kept() -> None:
    stage = Stage(UpstreamUnavailable("busy"))
    with pytest.raises(UpstreamUnavailable):
        await stage.run()
    assert (stage.record.outcome, stage.record.http_status) == (Outcome.UPSTREAM_ERROR, 503)
    assert stage.record.attempts == 1
    assert stage.record.usage_source is None


async def test_a_failure_after_the_first_byte_is_an_event_behind_what_came() -> None:
    broken = Block(data=WORD.data, text=["word"], deltas=1, error=UpstreamBroken("broke off"))
    stage = Stage(WORD, broken)
    first, second, last = await stage.run()
    assert (first, second) == (WORD.data, WORD.data)
    assert b"broke off" in last
    assert stage.groq.closed
    assert stage.record.response == "wordword"
    assert (stage.record.usage_source, stage.record.completion_tokens) == ("estimated", 2)


async def test_an_end_without_a_finish_reason_is_never_a_stop() -> None:
    stage = Stage(WORD, Block(ended=True, early_stop="the model stumbled"))
    *_, last = await stage.run()
    assert b"the model stumbled" in last
    assert stage.record.outcome is Outcome.UPSTREAM_ERROR


async def test_a_bug_is_told_without_its_details_and_handed_to_the_probe() -> None:
    stage = Stage(WORD, RuntimeError("secret detail"))
    *_, last = await stage.run()
    assert b"secret detail" not in last
    assert b"internal_error" in last
    _, error = stage.probe.finished_chats[0]
    assert isinstance(error, ServiceError)
    assert isinstance(error.__cause__, RuntimeError)


async def test_silence_is_bounded() -> None:
    stage = Stage(WORD, asyncio.Event(), chat_gap_timeout_s=0.05)
    *_, last = await stage.run()
    assert b"fell silent for 0.05 s" in last
    assert stage.record.outcome is Outcome.UPSTREAM_TIMEOUT


async def test_the_whole_chat_is_bounded() -> None:
    stage = Stage(WORD, asyncio.Event(), chat_timeout_s=0.05)
    *_, last = await stage.run()
    assert b"longer than 0.05 s" in last


async def test_a_client_that_leaves_between_blocks_gets_its_row() -> None:
    stage = Stage(WORD, WORD, END)
    async with aclosing(stage.stream()) as blocks:
        await anext(blocks)
    assert stage.record.outcome is Outcome.CLIENT_DISCONNECTED
    assert stage.record.response == "word"
    assert stage.groq.closed


async def test_a_client_that_leaves_while_groq_is_silent_gets_its_row() -> None:
    stage = Stage(WORD, asyncio.Event())
    running = asyncio.ensure_future(stage.run())
    await asyncio.sleep(0.05)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert stage.record.outcome is Outcome.CLIENT_DISCONNECTED
    assert stage.groq.closed


async def test_a_client_that_leaves_during_the_commit_has_a_completed_chat() -> None:
    """The outcome is fixed before the row is queued, and the row is queued before anything is awaited."""
    stage = Stage(WORD, END)
    stage.log.hold = True
    running = asyncio.ensure_future(stage.run())
    await asyncio.sleep(0.05)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert stage.record.outcome is Outcome.COMPLETED
    stage.log.waiting[0].set_result(Kept.DATABASE)
    await stage.service.wait_idle(5)
    assert stage.probe.finished_chats == [(stage.record, None)]


async def test_a_client_that_takes_nothing_is_told_apart_from_one_that_left() -> None:
    stage = Stage(WORD, WORD, END)
    async with aclosing(stage.stream()) as blocks:
        await anext(blocks)
        await blocks.athrow(ClientStalled("took nothing"))
    assert (stage.record.outcome, stage.record.http_status) == (Outcome.CLIENT_STALLED, 200)
    assert stage.groq.closed


async def test_a_client_that_leaves_with_the_last_block_has_a_completed_chat() -> None:
    whole = Block(data=WORD.data, text=["word"], deltas=1, finished={0}, usage=Usage(1, 1), ended=True)
    stage = Stage(whole)
    async with aclosing(stage.stream()) as blocks:
        await anext(blocks)
    assert stage.record.outcome is Outcome.COMPLETED


async def test_one_stream_more_than_there_is_room_for_is_refused_without_a_row() -> None:
    stage = Stage(WORD, WORD, END, max_active_streams=1, max_queued_chats=0)
    async with aclosing(stage.stream()) as first:
        await anext(first)
        with pytest.raises(Overloaded) as refused:
            await anext(stage.stream(uuid4()))
        assert refused.value.retry_after in (1, 2, 3)
        assert stage.log.records == []
    stage.groq.answer = [WORD, END]
    assert (await stage.run())[-1] == DONE


async def test_waiting_for_idle_is_waiting_for_the_last_stream() -> None:
    stage = Stage(WORD, END)
    async with aclosing(stage.stream()) as blocks:
        await anext(blocks)
        idle = asyncio.ensure_future(stage.service.wait_idle(10))
        await asyncio.sleep(0.02)
        assert not idle.done()
    await asyncio.wait_for(idle, 1)


async def test_every_chat_that_was_let_in_is_metered_once_with_what_it_used() -> None:
    for stage, outcome in (
        (Stage(WORD, END), Outcome.COMPLETED),
        (Stage(WORD, Block(error=UpstreamBroken("broke off"))), Outcome.UPSTREAM_ERROR),
    ):
        await stage.run()
        assert stage.meter.records == [stage.record]
        assert stage.record.outcome is outcome
    left = Stage(WORD, WORD, END)
    async with aclosing(left.stream()) as blocks:
        await anext(blocks)
    assert left.meter.records == [left.record]
    assert left.record.outcome is Outcome.CLIENT_DISCONNECTED
    assert left.record.completion_tokens == 1

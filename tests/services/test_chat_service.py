"""How chats run and end, between a fake provider and a fake record store, on a fake clock."""

import asyncio
import json
from contextlib import aclosing
from typing import Any
from uuid import uuid4

import pytest

from app.core.errors import ClientStalled, Overloaded, PersistenceFailed, ServiceError
from app.core.outcomes import Outcome
from app.core.record import StoredIn
from app.core.upstream import UpstreamBroken, UpstreamUnavailable
from app.services.chat.block import DONE, Block
from app.services.chat.usage import Usage
from tests.services.fakes import END, OPENING, WORD, ServiceUnderTest


@pytest.fixture
def anyio_backend(virtual_time: Any) -> Any:
    return virtual_time


async def test_blocks_are_relayed_unchanged_and_done_is_last() -> None:
    sut = ServiceUnderTest(OPENING, WORD, WORD, END)
    assert await sut.run() == [OPENING.data, WORD.data, WORD.data, DONE]
    assert sut.upstream.closed
    assert sut.record.outcome is Outcome.COMPLETED
    assert sut.record.response == "wordword"
    assert (sut.record.prompt_tokens, sut.record.completion_tokens) == (7, 3)
    assert sut.telemetry.finished_chats == [(sut.record, None)]


async def test_done_is_sent_only_after_the_row_is_durable() -> None:
    sut = ServiceUnderTest(WORD, END)
    sut.store.hold = True
    async with aclosing(sut.stream()) as blocks:
        assert await anext(blocks) == WORD.data
        receipt = asyncio.ensure_future(anext(blocks))
        await asyncio.sleep(0.05)
        assert not receipt.done()
        sut.store.waiting[0].set_result(StoredIn.DATABASE)
        assert await receipt == DONE


async def test_no_done_without_a_stored_row() -> None:
    sut = ServiceUnderTest(WORD, END)
    sut.store.fail = True
    *_, last = await sut.run()
    assert last.startswith(b"event: error\n")
    assert json.loads(last.split(b"data: ")[1])["error"]["code"] == "persistence_failed"
    record, error = sut.telemetry.finished_chats[0]
    assert (record.outcome, record.error_code) == (Outcome.PERSISTENCE_FAILED, "persistence_failed")
    assert error is None
    assert isinstance(sut.telemetry.failures[0], PersistenceFailed)


async def test_a_failed_chat_reports_its_failure_even_if_its_row_is_not_stored() -> None:
    sut = ServiceUnderTest(WORD, Block(error=UpstreamBroken("broke off")))
    sut.store.fail = True
    *_, last = await sut.run()
    assert b"broke off" in last
    record, error = sut.telemetry.finished_chats[0]
    assert record.outcome is Outcome.PERSISTENCE_FAILED
    assert isinstance(error, UpstreamBroken)
    assert isinstance(sut.telemetry.failures[0], PersistenceFailed)


async def test_a_failure_before_the_first_block_is_raised_after_its_row_is_stored() -> None:
    sut = ServiceUnderTest(UpstreamUnavailable("busy"))
    with pytest.raises(UpstreamUnavailable):
        await sut.run()
    assert (sut.record.outcome, sut.record.http_status) == (Outcome.UPSTREAM_ERROR, 503)
    assert sut.record.attempts == 1
    assert sut.record.usage_source is None


async def test_a_failure_after_the_first_block_is_an_error_event() -> None:
    broken = Block(data=WORD.data, text=["word"], progress_chunks=1, error=UpstreamBroken("broke off"))
    sut = ServiceUnderTest(WORD, broken)
    first, second, last = await sut.run()
    assert (first, second) == (WORD.data, WORD.data)
    assert b"broke off" in last
    assert sut.upstream.closed
    assert sut.record.response == "wordword"
    assert (sut.record.usage_source, sut.record.completion_tokens) == ("estimated", 2)


async def test_an_end_without_finish_reason_is_an_error() -> None:
    sut = ServiceUnderTest(WORD, Block(ended=True, early_stop="the model stumbled"))
    *_, last = await sut.run()
    assert b"the model stumbled" in last
    assert sut.record.outcome is Outcome.UPSTREAM_ERROR


async def test_a_bug_is_reported_to_telemetry_and_its_details_are_not_sent() -> None:
    sut = ServiceUnderTest(WORD, RuntimeError("secret detail"))
    *_, last = await sut.run()
    assert b"secret detail" not in last
    assert b"internal_error" in last
    assert b"in the log under this request's id" in last
    _, error = sut.telemetry.finished_chats[0]
    assert isinstance(error, ServiceError)
    assert isinstance(error.__cause__, RuntimeError)


async def test_inter_token_timeout_ends_the_chat() -> None:
    sut = ServiceUnderTest(WORD, asyncio.Event(), inter_token_timeout_s=5)
    *_, last = await sut.run()
    assert b"sent no token for 5 s" in last
    assert sut.record.outcome is Outcome.UPSTREAM_TIMEOUT


async def test_chat_timeout_ends_the_chat() -> None:
    sut = ServiceUnderTest(WORD, asyncio.Event(), chat_timeout_s=0.05)
    *_, last = await sut.run()
    assert b"longer than 0.05 s" in last


async def test_disconnect_between_blocks_stores_a_row() -> None:
    sut = ServiceUnderTest(WORD, WORD, END)
    async with aclosing(sut.stream()) as blocks:
        await anext(blocks)
    assert sut.record.outcome is Outcome.CLIENT_DISCONNECTED
    assert sut.record.response == "word"
    assert sut.upstream.closed


async def test_disconnect_while_waiting_for_the_provider_stores_a_row() -> None:
    sut = ServiceUnderTest(WORD, asyncio.Event())
    running = asyncio.ensure_future(sut.run())
    await asyncio.sleep(0.05)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert sut.record.outcome is Outcome.CLIENT_DISCONNECTED
    assert sut.upstream.closed


async def test_disconnect_during_the_commit_leaves_the_chat_completed() -> None:
    """The outcome is fixed before the row is queued, and the row is queued before anything is awaited."""
    sut = ServiceUnderTest(WORD, END)
    sut.store.hold = True
    running = asyncio.ensure_future(sut.run())
    await asyncio.sleep(0.05)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert sut.record.outcome is Outcome.COMPLETED
    sut.store.waiting[0].set_result(StoredIn.DATABASE)
    await sut.service.wait_idle(5)
    assert sut.telemetry.finished_chats == [(sut.record, None)]


async def test_a_stalled_client_has_its_own_outcome() -> None:
    sut = ServiceUnderTest(WORD, WORD, END)
    async with aclosing(sut.stream()) as blocks:
        await anext(blocks)
        await blocks.athrow(ClientStalled("took nothing"))
    assert (sut.record.outcome, sut.record.http_status) == (Outcome.CLIENT_STALLED, 200)
    assert sut.upstream.closed


async def test_disconnect_after_the_last_block_leaves_the_chat_completed() -> None:
    whole = Block(data=WORD.data, text=["word"], progress_chunks=1, finished_choices={0}, usage=Usage(1, 1), ended=True)
    sut = ServiceUnderTest(whole)
    async with aclosing(sut.stream()) as blocks:
        await anext(blocks)
    assert sut.record.outcome is Outcome.COMPLETED


async def test_a_chat_beyond_the_limit_is_refused_without_a_row() -> None:
    sut = ServiceUnderTest(WORD, WORD, END, max_active_streams=1, max_queued_chats=0)
    async with aclosing(sut.stream()) as first:
        await anext(first)
        with pytest.raises(Overloaded) as refused:
            await anext(sut.stream(uuid4()))
        assert refused.value.retry_after in (1, 2, 3)
        assert sut.store.records == []
    sut.upstream.answer = [WORD, END]
    assert (await sut.run())[-1] == DONE


async def test_wait_idle_waits_for_the_last_stream() -> None:
    sut = ServiceUnderTest(WORD, END)
    async with aclosing(sut.stream()) as blocks:
        await anext(blocks)
        idle = asyncio.ensure_future(sut.service.wait_idle(10))
        await asyncio.sleep(0.02)
        assert not idle.done()
    await asyncio.wait_for(idle, 1)


async def test_every_admitted_chat_is_metered_once() -> None:
    for sut, outcome in (
        (ServiceUnderTest(WORD, END), Outcome.COMPLETED),
        (ServiceUnderTest(WORD, Block(error=UpstreamBroken("broke off"))), Outcome.UPSTREAM_ERROR),
    ):
        await sut.run()
        assert sut.meter.records == [sut.record]
        assert sut.record.outcome is outcome
    disconnected = ServiceUnderTest(WORD, WORD, END)
    async with aclosing(disconnected.stream()) as blocks:
        await anext(blocks)
    assert disconnected.meter.records == [disconnected.record]
    assert disconnected.record.outcome is Outcome.CLIENT_DISCONNECTED
    assert disconnected.record.completion_tokens == 1

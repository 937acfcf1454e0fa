"""The drain, with a fake provider on a fake clock."""

import asyncio
import json
from contextlib import aclosing
from uuid import uuid4

import pytest

from app.core.errors import DrainExpired, RowsUnavailable, ServerDraining
from app.core.outcomes import Outcome
from app.services.chat.block import DONE
from tests.services.fakes import END, WORD, ServiceUnderTest


async def test_running_chats_may_finish_and_new_ones_are_refused() -> None:
    silence = asyncio.Event()
    sut = ServiceUnderTest(WORD, silence, WORD, END)
    running = asyncio.ensure_future(sut.run())
    await asyncio.sleep(0.01)
    sut.drain.start(grace_s=30)
    with pytest.raises(ServerDraining) as caught:
        await anext(sut.stream(uuid4()))
    assert (caught.value.status, caught.value.retry_after) == (503, 1)
    assert caught.value.outcome is Outcome.REJECTED_UNAVAILABLE
    silence.set()
    assert (await running)[-1] == DONE


async def test_a_chat_that_outlasts_the_drain_gets_an_error_and_a_row() -> None:
    sut = ServiceUnderTest(WORD, asyncio.Event())
    running = asyncio.ensure_future(sut.run())
    await asyncio.sleep(0.01)
    sut.drain.start(grace_s=0.05)
    first, last = await asyncio.wait_for(running, 5)
    assert first == WORD.data
    assert json.loads(last.split(b"data: ")[1])["error"]["code"] == "server_draining"
    assert (sut.record.outcome, sut.record.response) == (Outcome.DRAINING, "word")
    assert sut.upstream.closed


async def test_a_chat_that_never_waits_is_ended_too() -> None:
    sut = ServiceUnderTest(*[WORD] * 1000, END)
    blocks = sut.stream()
    async with aclosing(blocks):
        await anext(blocks)
        sut.drain.start(grace_s=30)
        sut.drain.expire()
        last = await anext(blocks)
    assert b"server_draining" in last


async def test_before_the_first_block_the_drain_is_a_503() -> None:
    sut = ServiceUnderTest(asyncio.Event(), WORD)
    sut.drain.start(grace_s=30)
    sut.drain.started = False  # the chat was admitted just before
    running = asyncio.ensure_future(sut.run())
    await asyncio.sleep(0.01)
    sut.drain.expire()
    with pytest.raises(DrainExpired) as caught:
        await asyncio.wait_for(running, 5)
    assert caught.value.status == 503
    assert (sut.record.outcome, sut.record.http_status) == (Outcome.DRAINING, 503)


async def test_a_connection_closed_after_the_drain_is_not_a_disconnect() -> None:
    """A server that cancels a blocked write looks like a client that disconnects, except for the drain."""
    sut = ServiceUnderTest(WORD, WORD, END)
    async with aclosing(sut.stream()) as blocks:
        await anext(blocks)
        sut.drain.expire()
    assert sut.record.outcome is Outcome.DRAINING


async def test_without_space_for_a_row_no_chat_starts() -> None:
    sut = ServiceUnderTest(WORD, END)
    sut.store.free_bytes = 0
    with pytest.raises(RowsUnavailable):
        await sut.run()
    assert sut.upstream.payload == {}
    assert sut.store.records == []

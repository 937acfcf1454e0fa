"""How the service stops, with a Groq whose every move the test decides."""

import asyncio
import json
from contextlib import aclosing
from uuid import uuid4

import pytest

from app.chat.events import DONE
from app.core.errors import RowsUnavailable, ServerDraining, ServerStopping
from app.core.outcomes import Outcome
from tests.chat.fakes import END, WORD, Stage


async def test_a_chat_that_runs_may_finish_and_none_is_let_in() -> None:
    silence = asyncio.Event()
    stage = Stage(WORD, silence, WORD, END)
    running = asyncio.ensure_future(stage.run())
    await asyncio.sleep(0.01)
    stage.drain.begin(grace_s=30)
    with pytest.raises(ServerStopping) as caught:
        await anext(stage.stream(uuid4()))
    assert (caught.value.status, caught.value.retry_after) == (503, 1)
    assert caught.value.outcome is Outcome.REJECTED_UNAVAILABLE
    silence.set()
    assert (await running)[-1] == DONE


async def test_what_outlasts_the_drain_is_told_and_has_its_row() -> None:
    stage = Stage(WORD, asyncio.Event())
    running = asyncio.ensure_future(stage.run())
    await asyncio.sleep(0.01)
    stage.drain.begin(grace_s=0.05)
    first, last = await asyncio.wait_for(running, 5)
    assert first == WORD.data
    assert json.loads(last.split(b"data: ")[1])["error"]["code"] == "server_draining"
    assert (stage.record.outcome, stage.record.response) == (Outcome.DRAINING, "word")
    assert stage.groq.closed


async def test_a_chat_that_never_waits_is_ended_too() -> None:
    stage = Stage(*[WORD] * 1000, END)
    blocks = stage.stream()
    async with aclosing(blocks):
        await anext(blocks)
        stage.drain.begin(grace_s=30)
        stage.drain.end()
        last = await anext(blocks)
    assert b"server_draining" in last


async def test_before_its_first_byte_it_still_has_a_status() -> None:
    stage = Stage(asyncio.Event(), WORD)
    stage.drain.begin(grace_s=30)
    stage.drain.begun = False  # it came in an instant before
    running = asyncio.ensure_future(stage.run())
    await asyncio.sleep(0.01)
    stage.drain.end()
    with pytest.raises(ServerDraining) as caught:
        await asyncio.wait_for(running, 5)
    assert caught.value.status == 503
    assert (stage.record.outcome, stage.record.http_status) == (Outcome.DRAINING, 503)


async def test_a_client_that_is_cut_off_after_the_drain_did_not_leave() -> None:
    """A server that cancels what is blocked in sending is not told apart from a client that leaves by anything else."""
    stage = Stage(WORD, WORD, END)
    async with aclosing(stage.stream()) as blocks:
        await anext(blocks)
        stage.drain.end()
    assert stage.record.outcome is Outcome.DRAINING


async def test_nothing_is_begun_that_cannot_be_recorded() -> None:
    stage = Stage(WORD, END)
    stage.log.room = 0
    with pytest.raises(RowsUnavailable):
        await stage.run()
    assert stage.groq.payload == {}
    assert stage.log.records == []

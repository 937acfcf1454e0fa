"""What a chat holds is released once, at its end: its slot, the space for its row, the memory of its request."""

import asyncio
import time
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from app.core.errors import InvalidRequest, Overloaded, PersistenceFailed
from app.core.record import StoredIn
from app.schemas.chat import ChatRequest
from app.services.chat.block import DONE
from app.services.chat.ports import RequestContext
from tests.services.fakes import END, REQUEST, WORD, ServiceUnderTest


class Lease:
    """Counts its holders."""

    def __init__(self) -> None:
        self.holders = 0

    def hold(self) -> None:
        self.holders += 1

    def release(self) -> None:
        self.holders -= 1


class Chat:
    """A chat, and what it holds."""

    def __init__(self, sut: ServiceUnderTest) -> None:
        self.sut = sut
        self.lease = Lease()
        self.free_bytes = sut.store.free_bytes
        self.blocks = sut.service.answer(REQUEST, RequestContext(uuid4(), body_bytes=1000, body_memory=self.lease))

    @property
    def held(self) -> tuple[int, int, int]:
        """Slots, bytes and holders of the request's memory."""
        return self.sut.service.admission.active, self.free_bytes - self.sut.store.free_bytes, self.lease.holders


NOTHING = (0, 0, 0)


async def test_a_chat_holds_its_resources_until_its_row_is_durable() -> None:
    sut = ServiceUnderTest(WORD, END, chat_max_answer_bytes=5000)
    sut.store.hold = True
    chat = Chat(sut)
    async with aclosing(chat.blocks) as blocks:
        assert await anext(blocks) == WORD.data
        assert chat.held == (1, 9000, 1)
        receipt = asyncio.ensure_future(anext(blocks))
        await asyncio.sleep(0.01)
        assert chat.held == (1, 9000, 1)
        sut.store.waiting[0].set_result(StoredIn.DATABASE)
        assert await receipt == DONE
    assert chat.held == NOTHING


async def test_a_chat_whose_row_is_not_stored_holds_nothing() -> None:
    sut = ServiceUnderTest(WORD, END)
    sut.store.fail = True
    chat = Chat(sut)
    word, error = [block async for block in chat.blocks]
    assert word == WORD.data
    assert b"persistence_failed" in error
    assert chat.held == NOTHING


async def test_a_chat_that_cannot_be_recorded_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("a bug")

    sut = ServiceUnderTest(WORD, END)
    monkeypatch.setattr(sut.meter, "ended", fail)
    chat = Chat(sut)
    with pytest.raises(RuntimeError, match="a bug"):
        assert [block async for block in chat.blocks]
    assert chat.held == NOTHING


async def test_a_request_that_a_check_refuses_holds_nothing_and_is_not_sent() -> None:
    seen: list[tuple[ChatRequest, RequestContext]] = []

    async def refuse(request: ChatRequest, context: RequestContext) -> None:
        seen.append((request, context))
        raise InvalidRequest("not this one")

    sut = ServiceUnderTest(WORD, END, checks=[refuse])
    chat = Chat(sut)
    with pytest.raises(InvalidRequest, match="not this one"):
        await anext(chat.blocks)
    assert chat.held == NOTHING
    assert seen[0][0] is REQUEST
    assert seen[0][1].body_bytes == 1000
    assert (sut.upstream.payload, sut.store.records) == ({}, [])


async def test_checks_run_in_their_order_while_the_chat_has_its_slot() -> None:
    seen: list[Any] = []

    async def first(request: ChatRequest, context: RequestContext) -> None:
        seen.append(sut.service.admission.active)

    async def second(request: ChatRequest, context: RequestContext) -> None:
        seen.append("second")

    sut = ServiceUnderTest(WORD, END, checks=[first, second])
    assert await sut.run() == [WORD.data, DONE]
    assert seen == [1, "second"]


async def test_times_of_a_chat_do_not_include_its_checks() -> None:
    """The row counts from the arrival of the request, and the span from its admission."""
    checked: list[datetime] = []

    async def check(request: ChatRequest, context: RequestContext) -> None:
        await asyncio.sleep(5)
        checked.append(datetime.now(UTC))

    sut = ServiceUnderTest(WORD, END, checks=[check])
    arrived = time.monotonic()
    assert [block async for block in sut.service.answer(REQUEST, RequestContext(sut.id, arrived=arrived))]
    assert sut.record.created_at < checked[0]
    assert sut.telemetry.admitted == arrived


async def test_admission_can_be_checked_without_a_request() -> None:
    sut = ServiceUnderTest(WORD, WORD, END, max_active_streams=1, max_queued_chats=0)
    sut.service.admission.check()
    async with aclosing(sut.stream()) as blocks:
        await anext(blocks)
        with pytest.raises(Overloaded):
            sut.service.admission.check()
    sut.service.admission.check()


async def test_waiting_for_the_last_chat_is_bounded() -> None:
    sut = ServiceUnderTest(WORD, END)
    async with aclosing(sut.stream()) as blocks:
        await anext(blocks)
        began = asyncio.get_running_loop().time()
        await sut.service.wait_idle(10)
        assert 10 <= asyncio.get_running_loop().time() - began < 11


async def test_waiting_includes_closing_the_provider_s_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []

    async def close_slowly() -> None:
        await asyncio.sleep(1)
        closed.append(True)

    sut = ServiceUnderTest(WORD, END)
    monkeypatch.setattr(sut.upstream, "aclose", close_slowly)
    assert (await sut.run())[-1] == DONE
    assert not closed
    await sut.service.wait_idle(10)
    assert closed


async def test_a_bug_of_the_store_is_no_receipt() -> None:
    sut = ServiceUnderTest(WORD, END)
    sut.store.hold = True
    async with aclosing(sut.stream()) as blocks:
        await anext(blocks)
        receipt = asyncio.ensure_future(anext(blocks))
        await asyncio.sleep(0.01)
        sut.store.waiting[0].set_exception(RuntimeError("a bug"))
        assert (await receipt).startswith(b"event: error\n")
    [failure] = sut.telemetry.failures
    assert isinstance(failure, PersistenceFailed)
    assert repr(failure.__cause__) == "RuntimeError('a bug')"
    assert sut.service.admission.active == 0

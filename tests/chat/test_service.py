"""The story, with a Groq and a log whose every move the test decides."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.chat.block import Block, Usage
from app.chat.events import DONE
from app.chat.record import ChatRecord
from app.chat.service import ChatService
from app.core.config import Settings
from app.core.errors import NotRecorded, Overloaded, ServiceError, UpstreamBroken, UpstreamUnavailable
from app.core.outcomes import Outcome
from app.schemas.chat import ChatRequest

REQUEST = ChatRequest.model_validate({"messages": [{"role": "user", "content": "Hi there"}], "model": "m"})
OPENING = Block(data=b"data: opening\n\n")
WORD = Block(data=b"data: word\n\n", text=["word"], deltas=1)
END = Block(finish_reason="stop", usage=Usage(7, 3), ended=True)


@dataclass
class FakeGroq:
    """Answers with these blocks; an exception among them is raised, an event is waited for."""

    answer: list[Block | Exception | asyncio.Event]
    payload: Mapping[str, Any] = field(default_factory=dict)
    closed: bool = False
    pauses: int = 0

    async def open(self, payload: Mapping[str, Any], *, on_attempt: Callable[[], None]) -> "FakeGroq":
        self.payload = payload
        on_attempt()
        if isinstance(self.answer[0], ServiceError):
            raise self.answer[0]
        return self

    async def read(self, timeout_s: float) -> Block:
        async with asyncio.timeout(timeout_s):
            item = self.answer.pop(0)
            while isinstance(item, asyncio.Event):
                await item.wait()
                item = self.answer.pop(0)
        if isinstance(item, Exception):
            raise item
        return item

    async def pause(self, seconds: float) -> None:
        self.pauses += 1
        await asyncio.sleep(0)

    async def aclose(self) -> None:
        self.closed = True


@dataclass
class FakeLog:
    """Keeps records; each is durable when the test says so, or at once."""

    hold: bool = False
    lose: bool = False
    records: list[ChatRecord] = field(default_factory=list)
    waiting: list[asyncio.Future[None]] = field(default_factory=list)

    def add(self, record: ChatRecord) -> asyncio.Future[None]:
        self.records.append(record)
        durable = asyncio.get_running_loop().create_future()
        self.waiting.append(durable)
        if self.lose:
            durable.set_exception(NotRecorded("lost"))
        elif not self.hold:
            durable.set_result(None)
        return durable


@dataclass
class FakeProbe:
    finished: list[tuple[ChatRecord, ServiceError | None]] = field(default_factory=list)

    def chat_finished(self, record: ChatRecord, error: ServiceError | None) -> None:
        self.finished.append((record, error))


class Stage:
    """A service between the two."""

    def __init__(self, *answer: Block | Exception | asyncio.Event, **settings: Any) -> None:
        self.groq = FakeGroq(list(answer))
        self.log = FakeLog()
        self.probe = FakeProbe()
        self.id = uuid4()
        self.service = ChatService(Settings(_env_file=None, **settings), groq=self.groq, log=self.log, probe=self.probe)

    def stream(self, chat_id: UUID | None = None) -> AsyncGenerator[bytes]:
        return self.service.stream(REQUEST, request_id=chat_id or self.id, client_request_id=None)

    async def run(self) -> list[bytes]:
        return [block async for block in self.stream()]

    @property
    def record(self) -> ChatRecord:
        assert len(self.log.records) == 1
        return self.log.records[0]


async def test_blocks_pass_as_they_came_and_the_receipt_is_last() -> None:
    stage = Stage(OPENING, WORD, WORD, END)
    assert await stage.run() == [OPENING.data, WORD.data, WORD.data, DONE]
    assert stage.groq.closed
    assert stage.record.outcome is Outcome.COMPLETED
    assert stage.record.response == "wordword"
    assert (stage.record.prompt_tokens, stage.record.completion_tokens) == (7, 3)
    assert stage.probe.finished == [(stage.record, None)]


async def test_the_receipt_waits_until_the_row_is_durable() -> None:
    stage = Stage(WORD, END)
    stage.log.hold = True
    async with aclosing(stage.stream()) as blocks:
        assert await anext(blocks) == WORD.data
        receipt = asyncio.ensure_future(anext(blocks))
        await asyncio.sleep(0.05)
        assert not receipt.done()
        stage.log.waiting[0].set_result(None)
        assert await receipt == DONE


async def test_blocks_are_paced_only_after_the_first_token() -> None:
    stage = Stage(OPENING, OPENING, WORD, WORD, END)
    await stage.run()
    assert stage.groq.pauses == 2


async def test_a_row_that_is_lost_means_no_receipt() -> None:
    stage = Stage(WORD, END)
    stage.log.lose = True
    *_, last = await stage.run()
    assert last.startswith(b"event: error\n")
    assert json.loads(last.split(b"data: ")[1])["error"]["code"] == "not_recorded"
    record, error = stage.probe.finished[0]
    assert record.outcome is Outcome.NOT_RECORDED
    assert isinstance(error, NotRecorded)


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
    _, error = stage.probe.finished[0]
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


async def test_a_client_that_leaves_with_the_last_block_has_a_completed_chat() -> None:
    whole = Block(data=WORD.data, text=["word"], deltas=1, finish_reason="stop", usage=Usage(1, 1), ended=True)
    stage = Stage(whole)
    async with aclosing(stage.stream()) as blocks:
        await anext(blocks)
    assert stage.record.outcome is Outcome.COMPLETED


async def test_one_stream_more_than_there_is_room_for_is_refused_without_a_row() -> None:
    stage = Stage(WORD, WORD, END, max_active_streams=1)
    async with aclosing(stage.stream()) as first:
        await anext(first)
        with pytest.raises(Overloaded) as refused:
            await anext(stage.stream(uuid4()))
        assert refused.value.retry_after == 1
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

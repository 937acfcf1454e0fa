"""A Groq and a log whose every move a test decides; they behave like the real ones, and no patch is needed."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from app.chat.block import Block, Usage
from app.chat.caller import Caller
from app.chat.drain import Drain
from app.chat.service import ChatService
from app.core.attempt import Attempt
from app.core.config import Settings
from app.core.errors import NotRecorded, ServiceError
from app.core.record import ChatRecord, Kept
from app.core.setting_types import ModelPrice
from app.schemas.chat import ChatRequest
from tests.support.bodies import parsed

REQUEST: ChatRequest = parsed({"messages": [{"role": "user", "content": "Hi there"}], "model": "m"})
OPENING = Block(data=b"data: opening\n\n", chunks=1)
WORD = Block(data=b"data: word\n\n", text=["word"], chunks=1, deltas=1)
END = Block(finish_reason="stop", finished={0}, usage=Usage(7, 3), ended=True)


@dataclass
class FakeGroq:
    """Answers with these blocks; an exception among them is raised, an event is waited for."""

    answer: list[Block | Exception | asyncio.Event]
    payload: Mapping[str, Any] = field(default_factory=dict)
    closed: bool = False

    async def open(self, payload: Mapping[str, Any], *, on_attempt: Callable[[Attempt], None]) -> "FakeGroq":
        self.payload = payload
        error = self.answer[0] if isinstance(self.answer[0], ServiceError) else None
        now = time.monotonic()
        on_attempt(Attempt(model=payload["model"], started=now, ended=now, error=error))
        if error:
            raise error
        return self

    async def read(self) -> Block:
        while isinstance(event := self.answer[0], asyncio.Event):
            await event.wait()  # a read that is given up loses nothing
            self.answer.pop(0)
        item = self.answer.pop(0)
        assert not isinstance(item, asyncio.Event)
        if isinstance(item, Exception):
            raise item
        return item

    async def aclose(self) -> None:
        self.closed = True


@dataclass
class FakeLog:
    """Keeps records; each is durable when the test says so, or at once."""

    hold: bool = False
    lose: bool = False
    room: int = 10**9
    records: list[ChatRecord] = field(default_factory=list)
    waiting: list[asyncio.Future[Kept]] = field(default_factory=list)

    def add(self, record: ChatRecord) -> asyncio.Future[Kept]:
        self.records.append(record)
        durable = asyncio.get_running_loop().create_future()
        self.waiting.append(durable)
        if self.lose:
            durable.set_exception(NotRecorded("lost"))
        elif not self.hold:
            durable.set_result(Kept.DATABASE)
        return durable


@dataclass
class FakeProbe:
    """Watches every chat itself, and keeps what it is told."""

    traceparent: str | None = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    began: list[Mapping[str, Any]] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    finished_chats: list[tuple[ChatRecord, ServiceError | None]] = field(default_factory=list)
    lost: list[ServiceError] = field(default_factory=list)
    arrived: float | None = None
    commit_s: float | None = None

    def chat_began(self, chat_id: UUID, asked: Mapping[str, Any], *, arrived: float, queue_s: float) -> "FakeProbe":
        self.began.append(asked)
        self.arrived = arrived
        return self

    def attempted(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)

    def finished(
        self,
        record: ChatRecord,
        error: ServiceError | None,
        *,
        commit_s: float,
        kept: Kept | None,
        lost: ServiceError | None,
    ) -> None:
        assert (kept is None) == (lost is not None)
        self.finished_chats.append((record, error))
        self.commit_s = commit_s
        if lost:
            self.lost.append(lost)


class FakeModels:
    """Every model has the same price."""

    def price(self, model_id: str) -> ModelPrice | None:
        return ModelPrice(input=1, output=2)


class FakeMeter:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.records: list[ChatRecord] = []

    def ended(self, record: ChatRecord) -> None:
        self.records.append(record)


class Stage:
    """A service between the two."""

    def __init__(self, *answer: Block | Exception | asyncio.Event, **settings: Any) -> None:
        self.groq = FakeGroq(list(answer))
        self.log = FakeLog()
        self.probe = FakeProbe()
        self.meter = FakeMeter()
        self.id = uuid4()
        self.drain = Drain()
        self.service = ChatService(
            Settings(_env_file=None, **settings),
            groq=self.groq,
            models=FakeModels(),
            log=self.log,
            probe=self.probe,
            meter=self.meter,
            drain=self.drain,
        )

    def stream(self, chat_id: UUID | None = None, request: ChatRequest = REQUEST) -> AsyncGenerator[bytes]:
        return self.service.answer(request, Caller(chat_id or self.id))

    async def run(self) -> list[bytes]:
        return [block async for block in self.stream()]

    @property
    def record(self) -> ChatRecord:
        assert len(self.log.records) == 1
        return self.log.records[0]

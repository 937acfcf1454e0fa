"""A Groq and a log whose every move a test decides; they behave like the real ones, and no patch is needed."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from app.chat.block import Block, Usage
from app.chat.caller import Caller
from app.chat.record import ChatRecord
from app.chat.service import ChatService
from app.core.config import Settings
from app.core.errors import NotRecorded, ServiceError
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
        return self.service.stream(REQUEST, Caller(chat_id or self.id))

    async def run(self) -> list[bytes]:
        return [block async for block in self.stream()]

    @property
    def record(self) -> ChatRecord:
        assert len(self.log.records) == 1
        return self.log.records[0]

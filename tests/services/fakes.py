"""A provider and a record store that tests control. They behave like the real ones."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from app.core.config import Settings
from app.core.errors import PersistenceFailed, ServiceError
from app.core.models import ModelPrice
from app.core.record import ChatRecord, StoredIn
from app.core.upstream import Attempt
from app.schemas.chat import ChatRequest
from app.services.chat.block import Block
from app.services.chat.ports import RequestCheck, RequestContext
from app.services.chat.timeouts import Drain
from app.services.chat.usage import Usage
from app.services.chat_service import ChatService
from tests.support.bodies import parsed

REQUEST: ChatRequest = parsed({"messages": [{"role": "user", "content": "Hi there"}], "model": "m"})
OPENING = Block(data=b"data: opening\n\n", chunks=1)
WORD = Block(data=b"data: word\n\n", text=["word"], chunks=1, progress_chunks=1)
END = Block(finish_reason="stop", finished_choices={0}, usage=Usage(7, 3), ended=True)


@dataclass
class FakeUpstream:
    """Answers with these blocks. An exception among them is raised, an event is waited for."""

    answer: list[Block | Exception | asyncio.Event]
    payload: Mapping[str, Any] = field(default_factory=dict)
    closed: bool = False

    async def open(self, payload: Mapping[str, Any], *, on_attempt: Callable[[Attempt], None]) -> "FakeUpstream":
        self.payload = payload
        error = self.answer[0] if isinstance(self.answer[0], ServiceError) else None
        now = time.monotonic()
        on_attempt(Attempt(model=payload["model"], started=now, ended=now, error=error))
        if error:
            raise error
        return self

    async def read(self) -> Block:
        while isinstance(event := self.answer[0], asyncio.Event):
            await event.wait()  # a cancelled read loses nothing
            self.answer.pop(0)
        item = self.answer.pop(0)
        assert not isinstance(item, asyncio.Event)
        if isinstance(item, Exception):
            raise item
        return item

    async def aclose(self) -> None:
        self.closed = True


@dataclass
class FakeStore:
    """Stores records in memory. Each is durable at once, or with `hold` when the test says so."""

    hold: bool = False
    fail: bool = False
    free_bytes: int = 10**9
    records: list[ChatRecord] = field(default_factory=list)
    waiting: list[asyncio.Future[StoredIn]] = field(default_factory=list)

    def reserve(self, row_bytes: int) -> None:
        self.free_bytes -= row_bytes

    def add(self, record: ChatRecord) -> asyncio.Future[StoredIn]:
        self.records.append(record)
        durable = asyncio.get_running_loop().create_future()
        self.waiting.append(durable)
        if self.fail:
            durable.set_exception(PersistenceFailed())
        elif not self.hold:
            durable.set_result(StoredIn.DATABASE)
        return durable


@dataclass
class FakeTelemetry:
    """Records every event of every chat."""

    traceparent: str | None = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    began: list[Mapping[str, Any]] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    finished_chats: list[tuple[ChatRecord, ServiceError | None]] = field(default_factory=list)
    failures: list[ServiceError] = field(default_factory=list)
    arrived: float | None = None
    admitted: float = 0
    commit_s: float | None = None

    def chat_began(
        self, chat_id: UUID, payload: Mapping[str, Any], *, arrived: float, admitted: float, queue_s: float
    ) -> "FakeTelemetry":
        self.began.append(payload)
        self.arrived = arrived
        self.admitted = admitted
        return self

    def attempted(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)

    def finished(
        self,
        record: ChatRecord,
        error: ServiceError | None,
        *,
        commit_s: float,
        stored_in: StoredIn | None,
        failure: ServiceError | None,
    ) -> None:
        assert (stored_in is None) == (failure is not None)
        self.finished_chats.append((record, error))
        self.commit_s = commit_s
        if failure:
            self.failures.append(failure)


class FakeModels:
    """Every model has the same price."""

    def price(self, model_id: str) -> ModelPrice | None:
        return ModelPrice(input=1, output=2)


class FakeMeter:
    """Records what it counts."""

    def __init__(self) -> None:
        self.records: list[ChatRecord] = []

    def ended(self, record: ChatRecord) -> None:
        self.records.append(record)


class ServiceUnderTest:
    """A chat service between the fakes."""

    def __init__(
        self, *answer: Block | Exception | asyncio.Event, checks: Sequence[RequestCheck] = (), **settings: Any
    ) -> None:
        self.upstream = FakeUpstream(list(answer))
        self.store = FakeStore()
        self.telemetry = FakeTelemetry()
        self.meter = FakeMeter()
        self.id = uuid4()
        self.drain = Drain()
        self.service = ChatService(
            Settings(_env_file=None, **settings),
            upstream=self.upstream,
            prices=FakeModels(),
            store=self.store,
            telemetry=self.telemetry,
            quota=self.meter,
            drain=self.drain,
            checks=checks,
        )

    def stream(self, chat_id: UUID | None = None, request: ChatRequest = REQUEST) -> AsyncGenerator[bytes]:
        return self.service.answer(request, RequestContext(chat_id or self.id))

    async def run(self) -> list[bytes]:
        return [block async for block in self.stream()]

    @property
    def record(self) -> ChatRecord:
        assert len(self.store.records) == 1
        return self.store.records[0]

"""The chat service: admits a chat, opens and relays the stream, stores the row, and sends `[DONE]` as its receipt."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Coroutine, Iterator, Sequence
from dataclasses import replace
from typing import Any

import anyio

from app.core.attempt import Attempt
from app.core.config import Settings
from app.core.errors import InternalError, PersistenceFailed, ServiceError, UpstreamBroken
from app.core.record import ChatRecord, StoredIn, without_content
from app.schemas.chat import ChatRequest
from app.services.chat.admission import Admission, resolve_model
from app.services.chat.block import DONE, Block, error_event
from app.services.chat.drain import Drain
from app.services.chat.ports import (
    Caller,
    ChatQuota,
    ChatTelemetry,
    Prices,
    RecordStore,
    RequestCheck,
    Telemetry,
    Upstream,
    UpstreamStream,
)
from app.services.chat.running import RunningChats
from app.services.chat.session import ChatSession
from app.services.chat.timeouts import StreamTimeouts, server_draining
from app.services.chat.timing import ChatTiming

_PIECE_BYTES = 2**16


class ChatService:
    """Relays chats and stores their rows. One per process; it holds no state of a single chat."""

    def __init__(
        self,
        settings: Settings,
        *,
        upstream: Upstream,
        prices: Prices,
        store: RecordStore,
        telemetry: Telemetry,
        quota: ChatQuota,
        drain: Drain,
        checks: Sequence[RequestCheck] = (),
    ) -> None:
        self._settings = settings
        self._upstream = upstream
        self._prices = prices
        self._store = store
        self._telemetry = telemetry
        self._quota = quota
        self._drain = drain
        self._checks = checks
        self._admission = Admission(settings, drain=drain, store=store)
        self.running = RunningChats()
        self._background_tasks: set[asyncio.Task[None]] = set()

    @property
    def active(self) -> int:
        """The number of running chats, including those whose rows are being stored."""
        return self._admission.active

    def check_admission(self) -> None:
        """Raises Overloaded, RowsUnavailable or ServerStopping if a chat would be refused at once."""
        self._admission.check()

    async def wait_idle(self, timeout_s: float) -> None:
        """Waits for running chats and for rows that are being stored, at most `timeout_s`."""
        with anyio.move_on_after(timeout_s):
            await self._admission.wait_idle()
            if self._background_tasks:
                await asyncio.wait(self._background_tasks)  # the timeout cancels none of them

    async def answer(self, request: ChatRequest, caller: Caller) -> AsyncGenerator[bytes]:
        """Yields the answer, byte for byte as the provider sent it.

        A stream is yielded in blocks of events; the last one is `[DONE]`, sent when the row is durable. Raises a
        ServiceError before the first block; a later failure is an `event: error` without `[DONE]`. Without `stream`,
        the provider's JSON is yielded when the row is durable, and every failure is raised.
        """
        session, telemetry = await self._admit(request, caller)
        timeouts = StreamTimeouts(self._settings, self._drain, session.timing)
        stream: UpstreamStream | None = None
        try:
            stream = await timeouts.open(self._open(session, telemetry))
            while not session.upstream_ended:
                block = await self._read(stream, session, timeouts)
                if block.data:
                    yield block.data
                if block.error:
                    raise block.error
            session.complete(time.monotonic())
        except ServiceError as error:
            session.fail(error, time.monotonic())
        except Exception as bug:  # noqa: BLE001 - any failure ends with a row and an error for the client
            session.fail(_internal_error(bug), time.monotonic())
        except (asyncio.CancelledError, GeneratorExit):
            if self._drain.expired:  # uvicorn cancels streams that outlast the drain
                session.fail(server_draining(), time.monotonic())
            else:
                session.disconnect(time.monotonic())
            raise
        finally:
            timeouts.close()
            storing = self._store_record(session, request, telemetry)
            if stream is not None:
                _ = self._run_in_background(stream.aclose())
            await asyncio.shield(storing)
        for part in _last_parts(session):
            yield part

    async def _admit(self, request: ChatRequest, caller: Caller) -> tuple[ChatSession, ChatTelemetry]:
        """Takes a slot, reserves space for the row, and runs the checks. Both are freed when the row is durable."""
        models = resolve_model(request, self._settings)
        requested, row_bytes = time.monotonic(), self._settings.row_bytes(caller.body_bytes)
        await self._admission.enter(row_bytes)
        try:
            admitted = time.monotonic()
            for check in self._checks:
                await check(request, caller)
            timing = ChatTiming(arrived=caller.arrived, requested=requested, admitted=admitted)
            session = ChatSession(request, caller, models=models, row_bytes=row_bytes, timing=timing)
            telemetry = self._telemetry.chat_began(
                session.request_id, session.payload, arrived=caller.arrived, queue_s=timing.queue_s
            )
        except BaseException:
            self._admission.leave(row_bytes)
            raise
        session.lease.hold()
        self.running.add(session)
        session.traceparent = telemetry.traceparent
        return session, telemetry

    async def _open(self, session: ChatSession, telemetry: ChatTelemetry) -> UpstreamStream:
        def on_attempt(attempt: Attempt) -> None:
            session.add_attempt(attempt)
            telemetry.attempted(attempt)

        return await self._upstream.open(session.payload, on_attempt=on_attempt)

    async def _read(self, stream: UpstreamStream, session: ChatSession, timeouts: StreamTimeouts) -> Block:
        """Reads the next block and records it. Its data is what the client is sent now."""
        started = time.monotonic()
        session.timing.on_block_accepted(started)
        block = await timeouts.read(stream)
        now = time.monotonic()
        session.add_block(block, now, waited_s=now - started)
        if not session.streamed:
            block = replace(block, data=b"")  # sent when the row is durable
        if session.answer_bytes > (limit := self._settings.chat_max_answer_bytes):
            # counted as the provider's failure: no model's answer is as long as the default limit
            return replace(block, error=UpstreamBroken(f"the answer is longer than {limit} bytes"))
        return block

    def _store_record(self, session: ChatSession, request: ChatRequest, telemetry: ChatTelemetry) -> asyncio.Task[None]:
        """Queues the row at once, and returns a task that waits until it is durable."""
        try:
            record = session.record(self._prices.price)
            if request.store is False or not self._settings.stores_content:
                record = without_content(record)
            durable = self._store.add(record)
            self._quota.ended(record)
        except BaseException:
            self._release(session)
            raise
        return self._run_in_background(self._finish(session, record, durable, telemetry))

    async def _finish(
        self, session: ChatSession, record: ChatRecord, durable: Awaitable[StoredIn], telemetry: ChatTelemetry
    ) -> None:
        """Waits until the row is durable, frees the chat's resources, and reports the result."""
        started, error, stored_in, failure = time.monotonic(), session.error, None, None
        try:
            stored_in = await durable
        except PersistenceFailed as exc:
            failure = exc
            record = session.not_stored(failure, record)
        finally:
            self._release(session)
        telemetry.finished(record, error, commit_s=time.monotonic() - started, stored_in=stored_in, failure=failure)

    def _release(self, session: ChatSession) -> None:
        self.running.remove(session)
        self._admission.leave(session.row_bytes)
        session.lease.release()

    def _run_in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Starts a task that is not cancelled with its chat; `wait_idle` waits for it."""
        task = asyncio.create_task(work)
        self._background_tasks.add(task)
        task.add_done_callback(self._background_tasks.discard)
        return task


def _last_parts(session: ChatSession) -> Iterator[bytes]:
    """What the client is sent when the row is durable: `[DONE]`, the error of a stream, or an answer that is not
    streamed, in pieces that a slow client can accept within `CLIENT_WRITE_TIMEOUT_S` each.

    Raises the error of a chat that has sent no data.
    """
    if session.error and not session.sending:
        raise session.error
    if session.error:
        yield error_event(session.error)
    elif session.streamed:
        yield DONE
    else:
        body = session.whole_body
        yield from (body[start : start + _PIECE_BYTES] for start in range(0, len(body), _PIECE_BYTES))


def _internal_error(bug: Exception) -> InternalError:
    error = InternalError("the service failed; its operator finds the cause in the log under this request's id")
    error.__cause__ = bug
    return error

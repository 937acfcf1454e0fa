"""The state of one chat while it runs, and how it ended; and all chats of the worker that run. Nothing here waits."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from app.core.errors import ClientStalled, PersistenceFailed, ServiceError
from app.core.outcomes import Outcome
from app.core.record import ChatRecord
from app.core.upstream import Attempt, UpstreamBroken
from app.schemas.chat import ChatRequest
from app.services.chat.block import DONE, Block, error_event, in_pieces
from app.services.chat.ports import RequestContext
from app.services.chat.timing import ChatTiming, milliseconds
from app.services.chat.usage import has_worked


class ChatSession:
    """The request, the answer so far, and how the chat ended.

    `payload` is the request to the provider: what the client sent, with the model's id.
    `received` is the answer so far as one block, without `data`; `answer_bytes` is its size.
    `streamed`: the client receives the answer as it arrives; otherwise `whole_body` has the provider's JSON at the end.
    `provider_worked`: it bills the chat, with a usage or without.
    `sending`: data was sent to the client: a failure is an event from then on, no longer an HTTP status.
    `outcome` is None until the chat has ended. `traceparent` names the chat's span, if there is one.
    """

    def __init__(
        self, request: ChatRequest, context: RequestContext, *, models: tuple[str, str], timing: ChatTiming
    ) -> None:
        """`models` are the requested name and the provider's id."""
        self.context = context
        self.created_at = datetime.now(UTC) - timedelta(seconds=timing.admitted - timing.arrived)
        self.timing = timing
        self.streamed = request.streams
        self.whole_body = b""
        self.answer_bytes = 0
        self.sending = False
        self.provider_worked = False
        self.outcome: Outcome | None = None
        self.error: ServiceError | None = None
        self.traceparent: str | None = None
        self.request = request
        self.requested_model, self.model = models
        self.payload = request.upstream_body | {"model": self.model} | ({"stream": True} if self.streamed else {})
        self.received = Block()

    @property
    def client_left_at(self) -> datetime | None:
        """When the client disconnected or stalled; None if it has not."""
        lost_at = self.context.connection.lost_at
        return None if lost_at is None else self.created_at + timedelta(seconds=lost_at - self.timing.arrived)

    def add_attempt(self, attempt: Attempt) -> None:
        """Records an attempt that has ended."""
        self.timing.add_attempt(attempt)
        self.provider_worked |= has_worked(attempt, streamed=self.streamed)
        if attempt.error is None:
            self.model = attempt.model

    def add_block(self, block: Block, now: float, *, waited_s: float = 0.0) -> None:
        """Records a block before it is relayed."""
        self.timing.add_block(block, now, waited_s=waited_s)
        if not self.streamed:
            self.whole_body = block.data
        elif block.data:
            self.sending = True
        # One string for each block: one for each token would take ten times the memory.
        if block.text:
            self.received.text.append("".join(block.text))
        if block.reasoning:
            self.received.reasoning.append("".join(block.reasoning))
        self.received.merge_fields(block)
        self.answer_bytes += block.answer_bytes
        self.model = block.model or self.model

    def complete(self, now: float) -> None:
        """The end of the answer has been read. Raises UpstreamBroken if there was no finish_reason.

        One finish_reason is enough: OpenAI's API does not promise one for each of several choices before `[DONE]`.
        """
        if self.streamed and not self.received.finished_choices:
            raise UpstreamBroken(self.received.early_stop or "the answer stopped before its end")
        self._finish(Outcome.COMPLETED, now)

    def fail(self, error: ServiceError, now: float) -> None:
        """The provider, the service, or a client that accepts no data ended the chat."""
        if isinstance(error, ClientStalled):
            self.context.connection.lose()
        if not self._is_complete:
            self.error = error
        self._finish(error.outcome, now)

    def disconnect(self, now: float) -> None:
        """The client closed the connection."""
        self.context.connection.lose()
        self._finish(Outcome.CLIENT_DISCONNECTED, now)

    def not_stored(self, failure: PersistenceFailed, record: ChatRecord) -> ChatRecord:
        """The row could not be stored. Returns the record with that outcome.

        The HTTP status stays if the client has received it (a stream has started), or if the chat had failed before.
        """
        status = record.http_status if self.sending or record.outcome is not Outcome.COMPLETED else failure.status
        self.outcome = failure.outcome
        self.error = self.error or failure
        return replace(record, outcome=failure.outcome, error_code=failure.code, http_status=status)

    @property
    def _is_complete(self) -> bool:
        """The whole answer has been read: a later failure does not change the outcome."""
        return self.received.ended and bool(self.received.finished_choices or not self.streamed) and self.error is None

    def _finish(self, outcome: Outcome, now: float) -> None:
        self.timing.on_block_accepted(now)
        self.outcome, self.timing.finished = Outcome.COMPLETED if self._is_complete else outcome, now

    def last_parts(self) -> Iterator[bytes]:
        """What the client is sent when the row is durable: `[DONE]`, the error of a stream, or a whole answer.

        Raises the error of a chat that has sent no data.
        """
        if self.error and not self.sending:
            raise self.error
        if self.error:
            yield error_event(self.error)
        elif self.streamed:
            yield DONE
        else:
            yield from in_pieces(self.whole_body)

    def snapshot(self, now: float) -> dict[str, Any]:
        """What may be shown of a running chat: no text of its prompt or answer. Names are the row's for the same fact.

        `age_ms` counts from the request, `silence_ms` from the last progress; before any, from the request. Unlike
        `longest_silence_ms` of the record, it also counts chunks without progress, and while the client accepts no
        data. `tokens` are the chunks with progress so far, each of about one token. `attempts` are those that ended.
        """
        return {
            "id": self.context.request_id,
            "created_at": self.created_at,
            "client": self.context.client,
            "client_left_at": self.client_left_at,
            "requested_model": self.requested_model,
            "model_name": self.model,
            "streamed": self.streamed,
            "age_ms": milliseconds(now - self.timing.arrived),
            "ttft_ms": milliseconds(self.timing.first_token_s),
            "silence_ms": milliseconds(now - self.timing.last_token_at),
            "tokens": self.received.progress_chunks,
            "attempts": len(self.timing.attempt_log),
        }


class RunningChats:
    """The chats that run, or whose rows are being stored. One per process; may be read from any thread."""

    def __init__(self) -> None:
        self._sessions: dict[UUID, ChatSession] = {}

    def add(self, session: ChatSession) -> None:
        """The chat was admitted."""
        self._sessions[session.context.request_id] = session

    def remove(self, session: ChatSession) -> None:
        """The chat's row is durable, or could not be stored."""
        self._sessions.pop(session.context.request_id, None)

    def __contains__(self, chat_id: object) -> bool:
        return chat_id in self._sessions

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Snapshots, the oldest chat's first."""
        now = time.monotonic()
        return iter([session.snapshot(now) for session in list(self._sessions.values())])

"""The state of one chat while it runs: blocks in, facts out. Nothing here waits; times are passed in."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from app.core.attempt import Attempt
from app.core.errors import ClientStalled, PersistenceFailed, ServiceError, UpstreamBroken
from app.core.models import ModelPrice
from app.core.outcomes import Outcome
from app.core.record import ChatRecord, Details
from app.schemas.chat import ChatRequest
from app.services.chat.block import Block
from app.services.chat.ports import Caller
from app.services.chat.timing import ChatTiming, milliseconds
from app.services.chat.usage import Usage, estimated_usage

_NOT_PARAMS = {"messages", "model", "stream"}
_MAX_INDEXED = 200
"""Characters of the provider's texts that the database has an index for."""
_CLIENT_CLOSED_REQUEST = 499  # nginx's status for a client that left before the response


class ChatSession:
    """The request, the answer so far, and how the chat ended.

    `row_bytes`: the space reserved for the row. `lease`: the memory of the request.
    `streamed`: the client receives the answer as it arrives; otherwise `whole_body` has the provider's JSON at the end.
    `answer_bytes`: the size of the answer so far.
    `sending`: data was sent to the client, so that a failure is an event, and no longer an HTTP status.
    `upstream_ended`: the end of the answer has been read.
    `outcome` is None until the chat has ended. `traceparent` names the chat's span, if there is one.
    """

    def __init__(
        self, request: ChatRequest, caller: Caller, *, models: tuple[str, str], row_bytes: int, timing: ChatTiming
    ) -> None:
        """`models` are the requested name and the provider's id."""
        self.request_id = caller.request_id
        self.row_bytes = row_bytes
        self.lease = caller.lease
        self.created_at = datetime.now(UTC) - timedelta(seconds=timing.admitted - timing.arrived)
        self.timing = timing
        self.streamed = request.streams
        self.whole_body = b""
        self.answer_bytes = 0
        self.sending = False
        self.outcome: Outcome | None = None
        self.error: ServiceError | None = None
        self.traceparent: str | None = None
        self._request = request
        self._caller = caller
        self.requested_model, self.model = models
        self._answer = Block()

    @property
    def payload(self) -> dict[str, Any]:
        """The request to the provider: what the client sent, with the model's id."""
        return self._request.upstream_body | {"model": self.model} | ({"stream": True} if self.streamed else {})

    @property
    def client(self) -> str | None:
        """The name of the caller's key."""
        return self._caller.client

    @property
    def client_left_at(self) -> datetime | None:
        """When the client disconnected or stalled; None if it has not."""
        lost_at = self._caller.connection.lost_at
        return None if lost_at is None else self.created_at + timedelta(seconds=lost_at - self.timing.arrived)

    @property
    def tokens(self) -> int:
        """The chunks with progress so far, of which each has about one token."""
        return self._answer.deltas

    @property
    def upstream_ended(self) -> bool:
        """The end of the answer has been read."""
        return self._answer.ended

    def add_attempt(self, attempt: Attempt) -> None:
        """Records an attempt that has ended."""
        self.timing.add_attempt(attempt)
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
            self._answer.text.append("".join(block.text))
        if block.reasoning:
            self._answer.reasoning.append("".join(block.reasoning))
        self._answer.add_facts(block)
        self.answer_bytes += block.answer_bytes
        self.model = block.model or self.model

    # ── The end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def complete(self, now: float) -> None:
        """The end of the answer has been read. Raises UpstreamBroken if there was no finish_reason.

        One is enough: that every choice has its own is the provider's client's concern.
        """
        if self.streamed and not self._answer.finished:
            raise UpstreamBroken(self._answer.early_stop or "the answer stopped before its end")
        self._finish(Outcome.COMPLETED, now)

    def fail(self, error: ServiceError, now: float) -> None:
        """The provider, the service, or a client that accepts no data ended the chat."""
        if isinstance(error, ClientStalled):
            self._caller.connection.lose()
        if not self._is_complete:
            self.error = error
        self._finish(error.outcome, now)

    def disconnect(self, now: float) -> None:
        """The client closed the connection."""
        self._caller.connection.lose()
        self._finish(Outcome.CLIENT_DISCONNECTED, now)

    def not_stored(self, failure: PersistenceFailed, record: ChatRecord) -> ChatRecord:
        """The row could not be stored. Returns the record with that outcome.

        The status stays if the client has received one: of a stream, or of a chat that failed before.
        """
        status = record.http_status if self.sending or record.outcome is not Outcome.COMPLETED else failure.status
        self.outcome = failure.outcome
        self.error = self.error or failure
        return replace(record, outcome=failure.outcome, error_code=failure.code, http_status=status)

    @property
    def _is_complete(self) -> bool:
        """The whole answer has been read: a later failure does not change the outcome."""
        return self.upstream_ended and bool(self._answer.finished or not self.streamed) and self.error is None

    def _finish(self, outcome: Outcome, now: float) -> None:
        self.timing.on_block_accepted(now)
        self.outcome, self.timing.finished = Outcome.COMPLETED if self._is_complete else outcome, now

    # ── The record ───────────────────────────────────────────────────────────────────────────────────────────────────

    def record(self, price: Callable[[str], ModelPrice | None]) -> ChatRecord:
        """The chat as it is stored, once it has ended. `price` returns that of a model, if it is known."""
        assert self.outcome is not None, "a chat is recorded when it has ended"  # noqa: S101 # nosec B101
        timing, answer, caller = self.timing, self._answer, self._caller
        usage = answer.usage or estimated_usage(
            timing.attempts,
            chunks_with_text=answer.deltas,
            body_bytes=caller.body_bytes,
            answer_bytes=self.answer_bytes,
        )
        source = "upstream" if answer.usage else "estimated"
        body = self._request.body
        return ChatRecord(
            id=caller.request_id,
            created_at=self.created_at,
            client_request_id=caller.client_request_id,
            client=caller.client,
            client_left_at=self.client_left_at,
            prompt=self._request.prompt(),
            messages=body["messages"],
            params={name: value for name, value in body.items() if name not in _NOT_PARAMS}
            | ({} if self.streamed else {"stream": False}),
            requested_model=self.requested_model,
            model_name=self.model[:_MAX_INDEXED],
            response="".join(answer.text) or None,
            reasoning="".join(answer.reasoning) or None,
            refusal="".join(answer.refusal) or None,
            tool_calls=answer.tool_calls or None,
            outcome=self.outcome,
            error_code=self.error.reported_code[:_MAX_INDEXED] if self.error else None,
            http_status=self._http_status(),
            finish_reason=answer.finish_reason,
            prompt_tokens=usage.prompt_tokens if usage else None,
            completion_tokens=usage.completion_tokens if usage else None,
            reasoning_tokens=usage.reasoning_tokens if usage else None,
            cached_tokens=usage.cached_tokens if usage else None,
            usage_source=source if usage else None,
            cost_usd=usage.cost_usd(price(self.model)) if usage else None,
            ttft_ms=milliseconds(timing.first_token_s),
            duration_ms=milliseconds(timing.finished - timing.arrived),
            queue_ms=milliseconds(timing.queue_s),
            attempts=len(timing.attempts),
            attempt_log=timing.attempts or None,
            upstream_request_id=answer.upstream_request_id or (self.error.upstream_request_id if self.error else None),
            upstream_response_id=(answer.upstream_response_id or "")[:_MAX_INDEXED] or None,
            end_user=self._request.end_user,
            trace_id=self.traceparent.split("-")[1] if self.traceparent else None,
            route=caller.route,
            traceparent=self.traceparent,
            details=self._details(usage),
        )

    def _details(self, usage: Usage | None) -> Details:
        timing, answer = self.timing, self._answer
        return Details(
            streamed=self.streamed,
            unexpected_fields=tuple(sorted(answer.unexpected)),
            upstream_first_chunk_ms=milliseconds(timing.first_chunk_s),
            time_per_output_token_ms=milliseconds(timing.time_per_output_token_s(self._streamed_tokens(usage))),
            overhead_ms=milliseconds(timing.overhead_s()),
            longest_silence_ms=milliseconds(timing.longest_silence_s),
            stalls=tuple((milliseconds(at_s), milliseconds(silence_s)) for at_s, silence_s in timing.stalls),
            backpressure_ms=milliseconds(timing.backpressure_s),
            retry_wait_ms=milliseconds(timing.retry_wait_s),
            upstream_queue_ms=milliseconds(usage.queue_s if usage else None),
            upstream_prompt_ms=milliseconds(usage.prompt_s if usage else None),
            upstream_completion_ms=milliseconds(usage.completion_s if usage else None),
            chunks=answer.chunks,
            bytes=timing.bytes,
        )

    def _streamed_tokens(self, usage: Usage | None) -> int:
        """The tokens between the first and the last chunk: hidden reasoning is generated before the first."""
        if usage is None:
            return 0
        return usage.completion_tokens - (0 if self._answer.reasoning else usage.reasoning_tokens)

    def _http_status(self) -> int:
        if self.sending or self.outcome is Outcome.COMPLETED:
            return 200
        return self.error.status if self.error else _CLIENT_CLOSED_REQUEST

"""One chat while it runs: blocks in, facts out. Nothing here waits, and times are handed in."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from app.chat.block import Block, Usage
from app.chat.caller import Caller
from app.chat.counting import counted, streamed
from app.chat.pace import Pace, milliseconds
from app.chat.pricing import cost_usd
from app.core.attempt import Attempt
from app.core.errors import NotRecorded, ServiceError, UpstreamBroken
from app.core.outcomes import Outcome
from app.core.record import ChatRecord, Details
from app.core.setting_types import ModelPrice
from app.schemas.chat import ChatRequest

_NOT_PARAMS = {"messages", "model", "stream"}
_CLIENT_CLOSED_REQUEST = 499  # nginx's word for a client that left before it had an answer


class Exchange:
    """What was asked, what came, how it ended. Times are in seconds on a clock that only goes forward: `asked` is when
    the chat asked to be let in, `now` when it was.

    `row_bytes`: the room that is kept for its row. `lease`: the memory of its request.
    `answer_bytes`: how large the answer is so far.
    `began`: something was sent to the client, so that a failure is an event from now on, and no status. One that does
    not stream is sent nothing before the end.
    `streamed`: the client receives the answer as it comes; else `whole_body` has Groq's JSON, once it is here.
    `upstream_ended`: Groq's end has been read. `outcome` is None until the chat has ended.
    `traceparent`: the span that this chat is told in, if there is one.
    """

    def __init__(
        self,
        request: ChatRequest,
        caller: Caller,
        *,
        requested_model: str,
        model: str,
        row_bytes: int,
        asked: float,
        now: float,
    ) -> None:
        self.request_id = caller.request_id
        self.row_bytes = row_bytes
        self.lease = caller.lease
        self.created_at = datetime.now(UTC) - timedelta(seconds=now - caller.arrived)
        self.model = model
        self.pace = Pace(arrived=caller.arrived, asked=asked, admitted=now)
        self.answer_bytes = 0
        self.began = False
        self.upstream_ended = False
        self.outcome: Outcome | None = None
        self.error: ServiceError | None = None
        self.traceparent: str | None = None
        self._request = request
        self.streamed = request.streams
        self.whole_body = b""
        self._caller = caller
        self._requested_model = requested_model
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._refusal: list[str] = []
        self._tool_calls: list[Any] = []
        self._finished: set[int] = set()
        self._unexpected: set[str] = set()
        self._finish_reason: str | None = None
        self._usage: Usage | None = None
        self._groq_response_id: str | None = None
        self._groq_request_id: str | None = None
        self._early_stop: str | None = None

    @property
    def payload(self) -> dict[str, Any]:
        """The request to Groq: what the client sent, with the model's id. `store` is this service's own business."""
        return self._request.upstream_body | {"model": self.model} | ({"stream": True} if self.streamed else {})

    def attempted(self, attempt: Attempt) -> None:
        """One more attempt to reach Groq is over."""
        self.pace.attempted(attempt)
        if attempt.error is None:
            self.model = attempt.model

    def add(self, block: Block, now: float, *, waited_s: float = 0.0) -> None:
        """Takes note of what is about to be relayed."""
        self.pace.add(block, now, waited_s=waited_s)
        if not self.streamed:
            self.whole_body = block.data
        elif block.data:
            self.began = True
        # One string for each block: one for each token would take ten times the memory.
        if block.text:
            self._text.append("".join(block.text))
        if block.reasoning:
            self._reasoning.append("".join(block.reasoning))
        self._refusal += block.refusal
        self._tool_calls += block.tool_calls
        self._finished |= block.finished
        self._unexpected |= block.unexpected
        self.answer_bytes += block.answer_bytes
        self.model = block.model or self.model
        self._finish_reason = block.finish_reason or self._finish_reason
        self._usage = block.usage or self._usage
        self._groq_response_id = self._groq_response_id or block.groq_response_id
        self._groq_request_id = block.groq_request_id or self._groq_request_id
        self._early_stop = block.early_stop or self._early_stop
        self.upstream_ended = block.ended

    def complete(self, now: float) -> None:
        """Groq's end has been read. Raises UpstreamBroken for an answer without a finish_reason: it was cut off."""
        if self.streamed and not self._finished:
            raise UpstreamBroken(self._early_stop or "Groq's answer stopped before its end")
        self._finish(Outcome.COMPLETED, now)

    def fail(self, error: ServiceError, now: float) -> None:
        """Groq, the service or a client that takes nothing ended it."""
        if not self._is_whole:
            self.error = error
        self._finish(error.outcome, now)

    def leave(self, now: float) -> None:
        """The client has gone."""
        self._finish(Outcome.CLIENT_DISCONNECTED, now)

    @property
    def _is_whole(self) -> bool:
        """Groq's end has been read: whatever happens now, the answer is complete."""
        return self.upstream_ended and bool(self._finished or not self.streamed) and self.error is None

    def lose(self, lost: NotRecorded, record: ChatRecord) -> ChatRecord:
        """The row could be kept nowhere. A chat that had failed before has told its client why already."""
        told = record.http_status if self.began or record.outcome is not Outcome.COMPLETED else lost.status
        self.outcome = lost.outcome
        self.error = self.error or lost
        return replace(record, outcome=lost.outcome, error_code=lost.code, http_status=told)

    def _finish(self, outcome: Outcome, now: float) -> None:
        self.pace.resume(now)
        self.outcome, self.pace.finished = Outcome.COMPLETED if self._is_whole else outcome, now

    def record(self, price: Callable[[str], ModelPrice | None]) -> ChatRecord:
        """The chat as it is stored, once it has ended. `price` gives that of a model, if it is known."""
        assert self.outcome is not None, "a chat is recorded when it has ended"  # noqa: S101 # nosec B101
        pace = self.pace
        usage, usage_source = counted(
            self._usage, pace, body_bytes=self._caller.body_bytes, answer_bytes=self.answer_bytes
        )
        return ChatRecord(
            id=self._caller.request_id,
            created_at=self.created_at,
            client_request_id=self._caller.client_request_id,
            client=self._caller.client,
            prompt=self._request.prompt(),
            messages=self._request.body["messages"],
            params={name: value for name, value in self._request.body.items() if name not in _NOT_PARAMS}
            | ({} if self.streamed else {"stream": False}),
            requested_model=self._requested_model,
            model_name=self.model,
            response="".join(self._text) or None,
            reasoning="".join(self._reasoning) or None,
            refusal="".join(self._refusal) or None,
            tool_calls=self._tool_calls or None,
            outcome=self.outcome,
            error_code=self.error.reported_code if self.error else None,
            http_status=self._http_status(),
            finish_reason=self._finish_reason,
            prompt_tokens=usage.prompt_tokens if usage else None,
            completion_tokens=usage.completion_tokens if usage else None,
            reasoning_tokens=usage.reasoning_tokens if usage else None,
            cached_tokens=usage.cached_tokens if usage else None,
            usage_source=usage_source,
            cost_usd=cost_usd(usage, price(self.model)) if usage else None,
            ttft_ms=milliseconds(pace.first_token_s),
            duration_ms=milliseconds(pace.finished - pace.arrived),
            queue_ms=milliseconds(pace.queue_s),
            attempts=len(pace.attempts),
            attempt_log=pace.attempts or None,
            groq_request_id=self._groq_request_id or (self.error.groq_request_id if self.error else None),
            trace_id=self.traceparent.split("-")[1] if self.traceparent else None,
            route=self._caller.route,
            traceparent=self.traceparent,
            details=self._details(usage),
        )

    def _details(self, usage: Usage | None) -> Details:
        pace = self.pace
        return Details(
            streamed=self.streamed,
            unexpected_fields=tuple(sorted(self._unexpected)),
            groq_response_id=self._groq_response_id,
            groq_first_chunk_ms=milliseconds(pace.first_chunk_s),
            time_per_output_token_ms=milliseconds(pace.per_output_token_s(streamed(usage, self._reasoning))),
            overhead_ms=milliseconds(pace.overhead_s()),
            longest_silence_ms=milliseconds(pace.longest_silence_s),
            stalls=tuple((milliseconds(at_s), milliseconds(silence_s)) for at_s, silence_s in pace.stalls),
            backpressure_ms=milliseconds(pace.backpressure_s),
            retry_wait_ms=milliseconds(pace.retry_wait_s),
            groq_queue_ms=milliseconds(usage.queue_s if usage else None),
            groq_prompt_ms=milliseconds(usage.prompt_s if usage else None),
            groq_completion_ms=milliseconds(usage.completion_s if usage else None),
            chunks=pace.chunks,
            bytes=pace.bytes,
        )

    def _http_status(self) -> int:
        if self.began or self.outcome is Outcome.COMPLETED:
            return 200
        return self.error.status if self.error else _CLIENT_CLOSED_REQUEST

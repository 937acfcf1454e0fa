"""The record of a chat that has ended: its row, and what only signals have."""

from collections.abc import Callable, Iterable
from typing import Any

from app.core.models import ModelPrice
from app.core.outcomes import Outcome
from app.core.record import ChatRecord, Details
from app.schemas.chat import hides_reasoning
from app.services.chat.session import ChatSession
from app.services.chat.timing import milliseconds
from app.services.chat.usage import Usage, estimated_usage

_MAX_INDEXED = 200
"""Longer texts of the provider are cut in columns that have an index."""
_NOT_PARAMS = {"messages", "model", "stream"}
_CLIENT_CLOSED_REQUEST = 499  # nginx's status for a client that left before the response


def chat_record(session: ChatSession, price: Callable[[str], ModelPrice | None]) -> ChatRecord:
    """Returns the record of a chat that has ended. `price` returns a model's price, if it is known."""
    assert session.outcome is not None, "a chat is recorded when it has ended"  # noqa: S101 # nosec B101
    timing, answer, context = session.timing, session.received, session.context
    usage = answer.usage
    if usage is None and session.provider_worked:
        usage = estimated_usage(
            progress_chunks=answer.progress_chunks,
            body_bytes=context.body_bytes,
            answer_bytes=session.answer_bytes,
        )
    source = "upstream" if answer.usage else "estimated"
    body = session.request.body
    return ChatRecord(
        id=context.request_id,
        created_at=session.created_at,
        client_request_id=context.client_request_id,
        client=context.client,
        client_left_at=session.client_left_at,
        prompt=session.request.prompt,
        messages=body["messages"],
        params={name: value for name, value in body.items() if name not in _NOT_PARAMS}
        | ({} if session.streamed else {"stream": False}),  # without it, a chat was streamed
        requested_model=session.requested_model,
        model_name=session.model[:_MAX_INDEXED],
        response="".join(answer.text) or None,
        reasoning="".join(answer.reasoning) or None,
        refusal="".join(answer.refusal) or None,
        # Of several choices, the parts do not say to which one they belong.
        tool_calls=(whole_calls(answer.tool_calls) if answer.choices == 1 else answer.tool_calls) or None,
        outcome=session.outcome,
        error_code=session.error.reported_code[:_MAX_INDEXED] if session.error else None,
        http_status=_http_status(session),
        finish_reason=answer.finish_reason,
        prompt_tokens=usage.prompt_tokens if usage else None,
        completion_tokens=usage.completion_tokens if usage else None,
        reasoning_tokens=usage.reasoning_tokens if usage else None,
        cached_tokens=usage.cached_tokens if usage else None,
        usage_source=source if usage else None,
        cost_usd=usage.cost_usd(price(session.model)) if usage else None,
        ttft_ms=milliseconds(timing.first_token_s),
        duration_ms=milliseconds(timing.finished - timing.arrived),
        queue_ms=milliseconds(timing.queue_s),
        attempts=len(timing.attempt_log),
        attempt_log=timing.attempt_log or None,
        upstream_request_id=answer.upstream_request_id
        or (session.error.upstream_request_id if session.error else None),
        upstream_response_id=(answer.upstream_response_id or "")[:_MAX_INDEXED] or None,
        end_user=session.request.end_user,
        trace_id=session.traceparent.split("-")[1] if session.traceparent else None,
        route=context.route,
        traceparent=session.traceparent,
        details=_details(session, usage),
    )


def _details(session: ChatSession, usage: Usage | None) -> Details:
    timing, answer = session.timing, session.received
    return Details(
        streamed=session.streamed,
        unexpected_fields=tuple(sorted(answer.unexpected)),
        upstream_first_chunk_ms=milliseconds(timing.first_chunk_s),
        time_per_output_token_ms=milliseconds(timing.time_per_output_token_s(_streamed_tokens(session, usage))),
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
        hidden_reasoning=hides_reasoning(session.request.body),
    )


def _streamed_tokens(session: ChatSession, usage: Usage | None) -> int:
    """The tokens between the first and the last chunk: hidden reasoning is generated before the first."""
    if usage is None:
        return 0
    return usage.completion_tokens - (0 if session.received.reasoning else usage.reasoning_tokens)


def whole_calls(parts: Iterable[Any]) -> list[Any]:
    """Returns tool calls. Groq sends each in one piece; other providers send parts with the same `index`.

    The first part has the id and the name, and the arguments of all parts are one text.
    """
    calls: list[Any] = []
    begun: dict[int, tuple[dict[str, Any], list[str]]] = {}
    texts: list[tuple[dict[str, Any], list[str]]] = []
    for part in parts:
        match part:
            case {"index": int(index), "function": {**function}} if isinstance(function.get("arguments") or "", str):
                arguments = str(function.get("arguments") or "")
                if index in begun and part.get("id") in (None, "", begun[index][0].get("id")):
                    begun[index][1].append(arguments)
                    continue
                begun[index] = part, [arguments]
                texts.append(begun[index])
            case _:
                pass
        calls.append(part)
    for call, pieces in texts:
        if len(pieces) > 1:
            call["function"]["arguments"] = "".join(pieces)
    return calls


def _http_status(session: ChatSession) -> int:
    if session.sending or session.outcome is Outcome.COMPLETED:
        return 200
    return session.error.status if session.error else _CLIENT_CLOSED_REQUEST

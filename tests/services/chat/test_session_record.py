"""Every fact of the record that is made of a chat."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from app.core.errors import PersistenceFailed
from app.core.models import ModelPrice
from app.core.outcomes import Outcome
from app.core.upstream import Attempt, UpstreamBroken, UpstreamRejected, UpstreamUnavailable, UpstreamUnreachable
from app.schemas.chat import ChatRequest
from app.services.chat.block import Block
from app.services.chat.chat_record import chat_record, whole_calls
from app.services.chat.ports import RequestContext
from app.services.chat.session import ChatSession
from app.services.chat.timing import ChatTiming
from app.services.chat.usage import Usage
from tests.services.chat.test_session import BODY, session
from tests.support.bodies import as_objects, parsed


def test_the_record_names_the_caller_and_the_trace() -> None:
    before = datetime.now(UTC)
    context = RequestContext(
        uuid4(), client_request_id="mine", client="team", route="/v1", body_bytes=400, arrived=100.0
    )
    timing = ChatTiming(arrived=100.0, requested=100.5, admitted=103.0)
    chat = ChatSession(parsed(BODY), context, models=("asked", "id"), timing=timing)
    chat.traceparent = f"00-{7:032x}-{8:016x}-01"
    chat.disconnect(104.0)
    record = chat_record(chat, lambda _: None)
    assert before - timedelta(seconds=3) <= record.created_at <= datetime.now(UTC) - timedelta(seconds=3)
    assert (record.id, record.client_request_id, record.client, record.route) == (
        context.request_id, "mine", "team", "/v1"
    )  # fmt: skip
    assert (record.traceparent, record.trace_id) == (chat.traceparent, f"{7:032x}")
    assert (record.queue_ms, record.duration_ms) == (2500.0, 4000.0)
    assert (record.requested_model, record.model_name) == ("asked", "id")


def test_the_record_has_all_parts_of_the_answer() -> None:
    chat = session()
    chat.add_block(
        Block(
            data=b"first",
            reasoning=["H", "m"],
            chunks=2,
            progress_chunks=2,
            upstream_response_id="chatcmpl-1",
            upstream_request_id="req_1",
            unexpected={"usage", "id"},
        ),
        101.0,
        waited_s=1.0,
    )
    usage = Usage(7, 5, reasoning_tokens=3, cached_tokens=2, queue_s=0.1, prompt_s=0.2, completion_s=0.3)
    chat.timing.on_block_accepted(101.25)
    chat.add_block(
        Block(
            data=b"last",
            text=["a", "b"],
            refusal=["n", "o"],
            tool_calls=[{"id": "1"}],
            chunks=3,
            progress_chunks=3,
            finish_reason="stop",
            finished_choices={0},
            usage=usage,
            ended=True,
        ),
        103.0,
        waited_s=1.5,
    )
    chat.complete(103.5)
    record = chat_record(chat, lambda _: None)
    assert (record.reasoning, record.response, record.refusal, record.tool_calls) == ("Hm", "ab", "no", [{"id": "1"}])
    assert (record.prompt_tokens, record.completion_tokens, record.reasoning_tokens, record.cached_tokens) == (
        7, 5, 3, 2
    )  # fmt: skip
    assert (record.usage_source, record.finish_reason, record.upstream_request_id) == ("upstream", "stop", "req_1")
    assert (record.cost_usd, record.error_code, record.attempt_log) == (None, None, None)
    details = record.details
    assert (details.streamed, details.chunks, details.bytes) == (True, 5, 9)
    assert (details.unexpected_fields, record.upstream_response_id) == (("id", "usage"), "chatcmpl-1")
    assert (details.upstream_queue_ms, details.upstream_prompt_ms, details.upstream_completion_ms) == (100, 200, 300)
    assert (details.upstream_first_chunk_ms, details.backpressure_ms) == (1000.0, 750.0)
    assert (details.longest_silence_ms, details.stalls) == (1500.0, ((1500.0, 1500.0),))
    assert details.time_per_output_token_ms == 500.0  # four intervals of five tokens in two seconds


def test_hidden_reasoning_is_not_among_the_tokens_of_a_stream() -> None:
    chat = session()
    chat.add_block(Block(data=b"x", text=["x"], chunks=1, progress_chunks=1), 101.0)
    usage = Usage(7, 6, reasoning_tokens=3)
    last = Block(data=b"y", text=["y"], chunks=1, progress_chunks=1, finished_choices={0}, usage=usage, ended=True)
    chat.add_block(last, 103.0)
    chat.complete(103.0)
    assert chat_record(chat, lambda _: None).details.time_per_output_token_ms == 1000.0


def test_the_model_of_the_answering_attempt_is_recorded() -> None:
    chat = session()
    chat.add_attempt(Attempt(model="first", started=100.0, ended=100.5, error=UpstreamUnavailable("busy")))
    assert chat.model == "asked"
    chat.add_attempt(Attempt(model="fallback", started=101.0, ended=101.5, status=200))
    assert chat.model == "fallback"
    chat.disconnect(102.0)
    record = chat_record(chat, lambda _: None)
    assert (record.attempts, record.details.retry_wait_ms, record.details.overhead_ms) == (2, 500.0, None)
    assert record.attempt_log == [
        {"model": "first", "started_ms": 0.0, "ended_ms": 500.0, "result": "upstream_unavailable", "status": None},
        {"model": "fallback", "started_ms": 1000.0, "ended_ms": 1500.0, "result": "ok", "status": 200},
    ]


def test_a_failed_attempt_has_the_cause_of_its_connection() -> None:
    chat = session()
    error = UpstreamUnreachable("no")
    error.cause = "dns_failure"
    chat.add_attempt(Attempt(model="m", started=100.0, error=error))
    chat.fail(error, 100.5)
    record = chat_record(chat, lambda _: None)
    assert record.attempt_log
    assert (record.attempt_log[0]["cause"], record.attempt_log[0]["ended_ms"]) == ("dns_failure", 0.0)


def test_a_refused_attempt_has_the_message_of_the_provider() -> None:
    chat = session()
    error = UpstreamRejected("'messages.1': the property is unsupported" + "x" * 1000, status=400)
    chat.add_attempt(Attempt(model="m", started=100.0, error=error))
    chat.fail(error, 100.5)
    record = chat_record(chat, lambda _: None)
    assert record.attempt_log
    assert record.attempt_log[0]["message"] == error.message[:500]


def test_an_answer_that_ends_early_has_estimated_usage_and_cost() -> None:
    context = RequestContext(uuid4(), arrived=100.0, body_bytes=400)
    timing = ChatTiming(arrived=100.0, requested=100.0, admitted=100.0)
    chat = ChatSession(parsed(BODY), context, models=("asked", "m"), timing=timing)
    chat.add_attempt(Attempt(model="m", started=100.0, ended=100.5, status=200))
    chat.add_block(Block(data=b"x", text=["x"], chunks=2, progress_chunks=2), 101.0)
    chat.fail(UpstreamBroken("broke off"), 102.0)
    record = chat_record(chat, {"m": ModelPrice(input=1, output=2)}.get)
    assert (record.usage_source, record.prompt_tokens, record.completion_tokens) == ("estimated", 100, 2)
    assert record.cost_usd == pytest.approx(104e-6)
    assert (record.outcome, record.error_code, record.http_status) == (Outcome.UPSTREAM_ERROR, "upstream_broken", 200)


def whole(*, ended: bool = True) -> ChatSession:
    """A chat without `stream`."""
    timing = ChatTiming(arrived=100.0, requested=100.0, admitted=100.0)
    request = parsed({**BODY, "stream": False}, ChatRequest)
    chat = ChatSession(request, RequestContext(uuid4()), models=("asked", "m"), timing=timing)
    if ended:
        chat.add_block(Block(data=b"{}", text=["x"], chunks=1, ended=True), 101.0)
    return chat


def test_an_answer_that_is_not_streamed_needs_no_finish_reason() -> None:
    chat = whole()
    chat.complete(101.5)
    record = chat_record(chat, lambda _: None)
    assert (record.outcome, record.http_status, chat.whole_body) == (Outcome.COMPLETED, 200, b"{}")
    assert as_objects(record.params) == {"temperature": 1, "mystery": {"deep": [1, 2.5, None]}, "stream": False}
    assert not record.details.streamed
    assert "stream" not in chat.payload or chat.payload["stream"] is not True


def test_a_failure_after_the_whole_answer_does_not_change_the_outcome() -> None:
    chat = whole()
    chat.fail(UpstreamBroken("late"), 101.5)
    assert (chat.outcome, chat.error) == (Outcome.COMPLETED, None)


@pytest.mark.parametrize(("kind", "status"), [("whole", 500), ("failed", 404), ("stream", 200)])
def test_a_row_that_is_not_stored_keeps_a_status_that_was_sent(kind: str, status: int) -> None:
    chat = session() if kind == "stream" else whole(ended=kind == "whole")
    if kind == "failed":
        chat.fail(UpstreamRejected("no", status=404), 102.0)
    else:
        chat.add_block(Block(data=b"x", text=["x"], chunks=1, finished_choices={0}, ended=True), 101.0)
        chat.complete(102.0)
    record = chat.not_stored(PersistenceFailed(), chat_record(chat, lambda _: None))
    assert (record.outcome, record.error_code) == (Outcome.PERSISTENCE_FAILED, "persistence_failed")
    assert record.http_status == status
    assert isinstance(chat.error, UpstreamRejected if kind == "failed" else PersistenceFailed)
    assert chat.outcome is Outcome.PERSISTENCE_FAILED


def test_tool_calls_that_came_in_parts_are_whole() -> None:
    def part(index: int, arguments: str | None, **first: str) -> dict[str, Any]:
        name = {"name": "weather"} if first else {}
        return {"index": index, **first, "function": name | ({} if arguments is None else {"arguments": arguments})}

    parts = [
        part(0, "", id="a"), part(0, '{"city": '), part(1, "{", id="b"), part(0, '"Oslo"}'), part(1, "}"),
        part(2, None, id="c"), part(2, "{}"), part(2, None), "no call", {"index": 0},
    ]  # fmt: skip
    assert whole_calls(parts) == [
        part(0, '{"city": "Oslo"}', id="a"),
        part(1, "{}", id="b"),
        part(2, "{}", id="c"),
        "no call",
        {"index": 0},
    ]

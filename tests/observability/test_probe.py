"""The probe: facts in, nothing back."""

from typing import Any
from uuid import uuid4

from opentelemetry.trace import StatusCode

from app.core.attempt import Attempt, RateLimit
from app.core.errors import InternalError, InvalidRequest, PersistenceFailed
from app.core.outcomes import Outcome
from app.core.record import Kept
from app.db.errors import RowsRefused
from tests.observability.room import Room
from tests.support.records import record


def test_a_chat_is_one_line_with_every_fact_but_the_texts(room: Room, lines: list[Any]) -> None:
    told = room.chat(Attempt("m", 1.0, headers_at=1.1, ended=1.2, rate_limits={"tokens": RateLimit(100, 70, 1.0)}))
    (line,) = lines
    assert line["event"] == "chat.finished"
    assert line["request_id"] == str(told.id)
    assert told.traceparent == f"00-{line['trace_id']}-{line['span_id']}-03"
    assert (line["ratelimit_remaining_tokens"], line["commit_ms"], line["overhead_ms"]) == (70, 4.0, None)
    assert not {"prompt", "messages", "response", "reasoning", "tool_calls", "params", "details"} & set(line)


def test_a_bug_of_ours_is_an_error_with_its_cause(room: Room, lines: list[Any]) -> None:
    error = InternalError("told to the client")
    error.__cause__ = RuntimeError("the cause")
    room.chat(error=error, outcome=Outcome.INTERNAL_ERROR)
    assert lines[0]["log_level"] == "error"
    assert lines[0]["exc_info"] is error.__cause__
    assert room.spans["chat m"].status.status_code is StatusCode.ERROR


def test_what_a_database_says_of_a_row_that_it_refused_is_not_shown_as_a_traceback(
    room: Room, lines: list[Any]
) -> None:
    lost = PersistenceFailed("told to the client")
    lost.__cause__ = RowsRefused("null value in column")
    lost.__cause__.__cause__ = RuntimeError("DETAIL: Failing row contains (a-word-of-mine)")
    room.chat(lost=lost, outcome=Outcome.PERSISTENCE_FAILED)
    assert lines[0]["error"] == "null value in column"
    assert not lines[0]["exc_info"]
    assert room.spans["chat m"].attributes
    assert room.spans["chat m"].attributes["error.type"] == "persistence_failed"


def test_a_bug_is_told_even_if_its_row_is_lost_too(room: Room, lines: list[Any]) -> None:
    bug, lost = InternalError("told to the client"), PersistenceFailed("lost")
    bug.__cause__ = RuntimeError("the cause")
    room.chat(error=bug, lost=lost, outcome=Outcome.PERSISTENCE_FAILED)
    assert (lines[0]["exc_info"], lines[0]["failed_with"]) == (bug.__cause__, "internal_error")


def test_a_signal_that_fails_takes_nobody_along(room: Room, lines: list[Any]) -> None:
    broken: Any = object()
    watch = room.probe.chat_began(broken, broken, arrived=0, queue_s=0)
    watch.attempted(broken)
    watch.finished(broken, None, commit_s=0, kept=Kept.DATABASE)
    room.probe.rows_committed(broken, began_ns=0, took_s=0, failure=None)
    assert watch.traceparent is None
    assert {line["event"] for line in lines} == {"probe.failed"}


def test_one_signal_that_fails_takes_no_other_along(room: Room, lines: list[Any]) -> None:
    room.chat(cost_usd=-1.0)  # a counter takes nothing back
    assert [line["event"] for line in lines] == ["probe.failed", "chat.finished"]
    assert "chat m" in room.spans


def test_a_refusal_is_counted_and_told(room: Room, lines: list[Any]) -> None:
    refusal = InvalidRequest("no", param="messages")
    room.probe.chat_refused(refusal, request_id=uuid4(), route="/chat", has_key=True)
    assert room.value("chat_requests_total", model="other", outcome="invalid_request") == 1
    assert (lines[0]["event"], lines[0]["error_code"]) == ("chat.refused", "invalid_request")


def test_observations_carry_the_trace_they_come_from(room: Room) -> None:
    told = room.chat(ttft_ms=20.0)
    (metric,) = (each for each in room.metrics.registry.collect() if each.name == "chat_time_to_first_token_seconds")
    (exemplar,) = (sample.exemplar for sample in metric.samples if sample.exemplar)
    assert exemplar.labels["trace_id"] == told.traceparent.split("-")[1] if told.traceparent else False
    assert exemplar.value == 0.02


def test_a_model_outside_the_price_list_is_the_other_one(room: Room) -> None:
    for number in range(50):
        watch = room.probe.chat_began(uuid4(), {"model": f"made-up-{number}"}, arrived=0, queue_s=0)
        watch.finished(record(model_name=f"made-up-{number}"), None, commit_s=0, kept=Kept.DATABASE)
    assert room.value("chat_requests_total", model="other", outcome="completed") == 50
    assert list(room.spans) == ["chat other"]

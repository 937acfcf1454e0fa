"""The spans that are made of a chat's facts."""

from uuid import uuid4

import pytest
from opentelemetry.trace import (
    INVALID_SPAN,
    NonRecordingSpan,
    Span,
    SpanContext,
    StatusCode,
    TraceFlags,
    use_span,
)

from app.core.attempt import Attempt, RateLimit
from app.core.errors import UpstreamRateLimited, UpstreamUnavailable
from app.core.outcomes import WITHOUT_ROW, Outcome
from app.core.record import Details, Kept
from tests.observability.room import ASKED, Room
from tests.support.records import record


def test_what_no_exporter_can_write_is_left_out(room: Room) -> None:
    watch = room.probe.chat_began(uuid4(), {**ASKED, "seed": 2**63, "max_tokens": -(2**70)}, arrived=0, queue_s=0)
    watch.finished(record(), None, commit_s=0, kept=Kept.DATABASE)
    attributes = room.spans["chat m"].attributes
    assert attributes is not None
    assert not {"gen_ai.request.seed", "gen_ai.request.max_tokens"} & set(attributes)


def test_a_long_text_is_cut(room: Room) -> None:
    room.chat(upstream_request_id="x" * 10_000)
    assert room.spans["chat m"].attributes
    assert room.spans["chat m"].attributes["groq.request_id"] == "x" * 256


_NOT_SAMPLED = NonRecordingSpan(SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(TraceFlags.DEFAULT)))


@pytest.mark.parametrize("request_span", [_NOT_SAMPLED, INVALID_SPAN])
def test_a_chat_is_sampled_as_its_request_is(room: Room, request_span: Span) -> None:
    """Where nobody makes a span for the request, none is made for its chat."""
    with use_span(request_span):
        told = room.chat(queue_s=0.5)
    assert not room.spans
    assert (told.traceparent is None) == (request_span is INVALID_SPAN)
    assert told.traceparent is None or told.traceparent.startswith(f"00-{1:032x}-")


def test_each_attempt_is_a_span_and_a_repeat_an_event(room: Room) -> None:
    limits = {"requests": RateLimit(1000, 999, 86.4)}
    busy = UpstreamUnavailable("busy")
    room.chat(
        Attempt("m", 1.0, headers_at=1.5, ended=2.0, status=503, error=busy),
        Attempt("m", 5.0, headers_at=6.0, ended=6.5, status=200, rate_limits=limits),
        details=Details(retry_wait_ms=3000),
    )
    last, chat = room.spans["groq.attempt"], room.spans["chat m"]
    assert last.attributes == {
        "gen_ai.request.model": "m",
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.request.resend_count": 1,
        "groq.ratelimit.remaining_requests": 999,
        "server.address": "api.groq.com",
        "server.port": 443,
    }
    assert last.start_time
    assert last.end_time == last.start_time + 10**9  # until its headers
    (retry,) = (event for event in chat.events if event.name == "retry")
    assert retry.attributes == {"error.type": "upstream_unavailable", "http.response.status_code": 503, "wait_s": 3.0}
    assert chat.status.status_code is StatusCode.UNSET
    assert room.value("chat_upstream_attempts_total", model="m", result="upstream_unavailable") == 1
    assert room.value("chat_upstream_attempts_total", model="m", result="ok") == 1
    assert room.value("chat_retries_total", reason="upstream_unavailable") == 1
    assert room.value("groq_ratelimit_remaining", model="m", kind="requests") == 999
    assert room.value("groq_ratelimit_limit", model="m", kind="requests") == 1000
    assert room.value("groq_ratelimit_reset_seconds", model="m", kind="requests") == 86.4


def test_events_stand_where_they_happened_and_no_text_is_among_them(room: Room) -> None:
    room.chat(ttft_ms=20.0, duration_ms=100.0, details=Details(stalls=((30.0, 40.0),), chunks=3))
    chat = room.spans["chat m"]
    assert chat.start_time
    at_ms = {event.name: (event.timestamp - chat.start_time) / 1e6 for event in chat.events}
    assert at_ms == pytest.approx({"first_token": 20, "stall": 30, "committed": 104}, abs=5)
    assert "secret" not in chat.to_json()
    assert "Hello" not in chat.to_json()


@pytest.mark.parametrize("outcome", [each for each in Outcome if each not in WITHOUT_ROW])
def test_only_what_we_or_groq_failed_at_is_an_error(room: Room, outcome: Outcome) -> None:
    room.chat(outcome=outcome)
    failed = outcome.startswith("upstream_") and outcome is not Outcome.UPSTREAM_REJECTED
    expected = StatusCode.ERROR if failed or outcome is Outcome.INTERNAL_ERROR else StatusCode.UNSET
    chat = room.spans["chat m"]
    assert chat.status.status_code is expected
    assert chat.attributes
    assert chat.attributes["chat.outcome"] == outcome
    assert room.value("chat_requests_total", model="m", outcome=outcome) == 1
    assert room.value("chat_duration_seconds_count", model="m", outcome=outcome) == 1


def test_the_type_of_an_error_is_ours_even_where_groq_has_a_code_of_its_own(room: Room) -> None:
    room.chat(
        error=UpstreamRateLimited("slow down", upstream_error_body={"code": "whatever"}),
        outcome=Outcome.UPSTREAM_RATE_LIMITED,
    )
    assert room.spans["chat m"].attributes
    assert room.spans["chat m"].attributes["error.type"] == "rate_limit_exceeded"


def test_a_wait_for_a_free_place_is_a_span_of_its_own(room: Room) -> None:
    room.chat(queue_s=0.5)
    waited = room.spans["chat.admission"]
    assert waited.start_time
    assert waited.end_time == waited.start_time + 500_000_000


def test_a_commit_is_a_trace_of_its_own_with_links_to_its_chats(room: Room) -> None:
    told = [room.chat() for _ in range(3)]
    room.probe.rows_committed(told, began_ns=1000, took_s=0.25, failure="away")
    commit = room.spans["chat_logs.commit"]
    assert commit.context
    assert commit.parent is None
    linked = [f"00-{link.context.trace_id:032x}-{link.context.span_id:016x}-03" for link in commit.links]
    assert linked == [each.traceparent for each in told]
    assert f"{commit.context.trace_id:032x}" not in "".join(linked)
    assert commit.attributes == {
        "chat_logs.rows": 3,
        "chat_logs.place": "database",
        "db.system.name": "sqlite",
        "error.type": "away",
    }
    assert commit.status.status_code is StatusCode.ERROR
    assert room.value("chat_log_commit_failures_total", reason="away") == 1
    assert room.value("chat_log_batch_rows_sum") == 0
    room.probe.rows_committed(told, began_ns=1000, took_s=0.0, failure=None)
    assert room.value("chat_log_batch_rows_sum") == 3
    assert room.value("chat_log_commit_seconds_sum") == 0.25

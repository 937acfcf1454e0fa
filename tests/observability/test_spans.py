"""The spans that are made of a chat's facts."""

from uuid import uuid4

import pytest
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    StatusCode,
    TraceFlags,
    use_span,
)

from app.core.outcomes import WITHOUT_ROW, Outcome
from app.core.record import Details, StoredIn
from app.core.upstream import Attempt, RateLimit, UpstreamRateLimited, UpstreamUnavailable
from tests.observability.harness import PAYLOAD, Harness
from tests.support.records import record


def test_integer_of_more_than_64_bits_is_left_out(harness: Harness) -> None:
    chat = harness.telemetry.chat_began(
        uuid4(), {**PAYLOAD, "seed": 2**63, "max_tokens": -(2**70)}, arrived=0, admitted=0, queue_s=0
    )
    chat.finished(record(), None, commit_s=0, stored_in=StoredIn.DATABASE)
    attributes = harness.spans["chat m"].attributes
    assert attributes is not None
    assert not {"gen_ai.request.seed", "gen_ai.request.max_tokens"} & set(attributes)


def test_long_text_is_cut(harness: Harness) -> None:
    harness.chat(upstream_request_id="x" * 10_000)
    assert harness.spans["chat m"].attributes
    assert harness.spans["chat m"].attributes["groq.request_id"] == "x" * 256


def test_chat_is_sampled_as_its_request(harness: Harness) -> None:
    with use_span(NonRecordingSpan(SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(TraceFlags.DEFAULT)))):
        chat = harness.chat(queue_s=0.5, outcome=Outcome.INTERNAL_ERROR)
    assert not harness.spans
    assert chat.traceparent
    assert chat.traceparent.startswith(f"00-{1:032x}-")


def test_attempt_is_a_span_and_retry_an_event(harness: Harness) -> None:
    limits = {"requests": RateLimit(1000, 999, 86.4)}
    busy = UpstreamUnavailable("busy")
    harness.chat(
        Attempt("m", 1.0, headers_at=1.5, ended=2.0, status=503, error=busy),
        Attempt("m", 5.0, headers_at=6.0, ended=6.5, status=200, rate_limits=limits),
        details=Details(retry_wait_ms=3000),
    )
    last, chat = harness.spans["groq.attempt"], harness.spans["chat m"]
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
    assert harness.value("chat_upstream_attempts_total", model="m", result="upstream_unavailable") == 1
    assert harness.value("chat_upstream_attempts_total", model="m", result="ok") == 1
    assert harness.value("chat_retries_total", reason="upstream_unavailable") == 1
    assert harness.value("groq_ratelimit_remaining", model="m", kind="requests") == 999
    assert harness.value("groq_ratelimit_limit", model="m", kind="requests") == 1000


def test_events_have_their_times_and_no_content(harness: Harness) -> None:
    harness.chat(ttft_ms=20.0, duration_ms=100.0, details=Details(stalls=((30.0, 40.0),), chunks=3))
    chat = harness.spans["chat m"]
    assert chat.start_time
    at_ms = {event.name: (event.timestamp - chat.start_time) / 1e6 for event in chat.events}
    assert at_ms == pytest.approx({"first_token": 20, "stall": 30, "committed": 104}, abs=5)
    assert "secret" not in chat.to_json()
    assert "Hello" not in chat.to_json()


@pytest.mark.parametrize("outcome", [each for each in Outcome if each not in WITHOUT_ROW])
def test_only_failures_of_groq_or_the_service_are_errors(harness: Harness, outcome: Outcome) -> None:
    harness.chat(outcome=outcome)
    failed = outcome.startswith("upstream_") and outcome is not Outcome.UPSTREAM_REJECTED
    expected = StatusCode.ERROR if failed or outcome is Outcome.INTERNAL_ERROR else StatusCode.UNSET
    chat = harness.spans["chat m"]
    assert chat.status.status_code is expected
    assert chat.attributes
    assert chat.attributes["chat.outcome"] == outcome
    assert harness.value("chat_requests_total", model="m", outcome=outcome) == 1
    label = outcome if outcome is Outcome.COMPLETED else "other"
    assert harness.value("chat_duration_seconds_count", model="m", outcome=label) == 1
    harness.request.end()
    assert harness.spans["POST"].status.status_code is expected


def test_error_type_is_a_code_of_the_service_and_not_of_groq(harness: Harness) -> None:
    harness.chat(
        error=UpstreamRateLimited("slow down", upstream_error_body={"code": "whatever"}),
        outcome=Outcome.UPSTREAM_RATE_LIMITED,
    )
    assert harness.spans["chat m"].attributes
    assert harness.spans["chat m"].attributes["error.type"] == "rate_limit_exceeded"


def test_wait_for_admission_is_a_span(harness: Harness) -> None:
    harness.chat(queue_s=0.5)
    waited, chat = harness.spans["chat.admission"], harness.spans["chat m"]
    assert waited.parent == chat.parent
    assert waited.end_time == chat.start_time
    assert waited.start_time
    assert waited.end_time == waited.start_time + 500_000_000


def test_commit_is_a_trace_with_links_to_its_chats(harness: Harness) -> None:
    chats = [harness.chat() for _ in range(3)]
    harness.telemetry.rows_committed(chats, began_ns=1000, took_s=0.25, failure="unavailable")
    commit = harness.spans["chat_logs.commit"]
    assert commit.context
    assert commit.parent is None
    linked = [f"00-{link.context.trace_id:032x}-{link.context.span_id:016x}-03" for link in commit.links]
    assert linked == [each.traceparent for each in chats]
    assert f"{commit.context.trace_id:032x}" not in "".join(linked)
    assert commit.attributes == {
        "chat_logs.rows": 3,
        "chat_logs.stored_in": "database",
        "db.system.name": "sqlite",
        "error.type": "unavailable",
    }
    assert commit.status.status_code is StatusCode.ERROR
    assert harness.value("chat_log_commit_failures_total", reason="unavailable") == 1
    assert harness.value("chat_log_batch_rows_sum") == 0
    harness.telemetry.rows_committed(chats, began_ns=1000, took_s=0.0, failure=None)
    assert harness.value("chat_log_batch_rows_sum") == 3
    assert harness.value("chat_log_commit_seconds_sum") == 0.25

"""The probe: facts in, nothing back."""

import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import structlog
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from structlog.testing import capture_logs

from app.core.attempt import Attempt, RateLimit
from app.core.errors import InternalError, InvalidRequest, NotRecorded, UpstreamRateLimited, UpstreamUnavailable
from app.core.outcomes import WITHOUT_ROW, Outcome
from app.core.record import ChatRecord, Details
from app.db.errors import RowsRefused
from app.observability.metrics import Metrics
from app.observability.probe import Probe
from tests.support.records import record

ASKED = {"model": "m", "stream": True, "temperature": 0.5, "max_tokens": 9, "messages": ["a secret prompt"]}


class Room:
    """A probe, and what becomes of the facts that it is told."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.metrics = Metrics(models=["m"], info={"version": "1"}, workers=1)
        server = {"server.address": "api.groq.com", "server.port": 443}
        self.probe = Probe(self.metrics, provider.get_tracer("test"), server=server, database="sqlite")

    def chat(
        self, *attempts: Attempt, error: Any = None, lost: Any = None, queue_s: float = 0.0, **facts: Any
    ) -> ChatRecord:
        watch = self.probe.chat_began(uuid4(), ASKED, arrived=time.monotonic(), queue_s=queue_s)
        for attempt in attempts:
            watch.attempted(attempt)
        told = record(model_name="m", traceparent=watch.traceparent, **facts)
        watch.finished(told, error, commit_s=0.004, lost=lost)
        return told

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self._exporter.get_finished_spans()}

    def value(self, name: str, **labels: str) -> float:
        value = self.metrics.registry.get_sample_value(name, labels)
        assert value is not None, f"no {name}{labels}"
        return value


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture(autouse=True)
def lines() -> Iterator[list[Any]]:
    structlog.reset_defaults()
    with capture_logs() as captured:
        yield captured


def test_a_chat_is_one_line_with_every_fact_but_the_texts(room: Room, lines: list[Any]) -> None:
    told = room.chat(Attempt(1.0, headers_at=1.1, ended=1.2, rate_limits={"tokens": RateLimit(100, 70, 1.0)}))
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
    lost = NotRecorded("told to the client")
    lost.__cause__ = RowsRefused("null value in column")
    lost.__cause__.__cause__ = RuntimeError("DETAIL: Failing row contains (a-word-of-mine)")
    room.chat(lost=lost, outcome=Outcome.NOT_RECORDED)
    assert lines[0]["error"] == "null value in column"
    assert not lines[0]["exc_info"]
    assert room.spans["chat m"].attributes
    assert room.spans["chat m"].attributes["error.type"] == "not_recorded"


def test_a_bug_is_told_even_if_its_row_is_lost_too(room: Room, lines: list[Any]) -> None:
    bug, lost = InternalError("told to the client"), NotRecorded("lost")
    bug.__cause__ = RuntimeError("the cause")
    room.chat(error=bug, lost=lost, outcome=Outcome.NOT_RECORDED)
    assert (lines[0]["exc_info"], lines[0]["failed_with"]) == (bug.__cause__, "internal_error")


def test_a_signal_that_fails_takes_nobody_along(room: Room, lines: list[Any]) -> None:
    broken: Any = object()
    watch = room.probe.chat_began(broken, broken, arrived=0, queue_s=0)
    watch.attempted(broken)
    watch.finished(broken, None, commit_s=0)
    room.probe.rows_committed(broken, began_ns=0, took_s=0, failure=None)
    assert watch.traceparent is None
    assert {line["event"] for line in lines} == {"probe.failed"}


def test_one_signal_that_fails_takes_no_other_along(room: Room, lines: list[Any]) -> None:
    room.chat(cost_usd=-1.0)  # a counter takes nothing back
    assert [line["event"] for line in lines] == ["probe.failed", "chat.finished"]
    assert "chat m" in room.spans


def test_what_no_exporter_can_write_is_left_out(room: Room) -> None:
    watch = room.probe.chat_began(uuid4(), {**ASKED, "seed": 2**63, "max_tokens": -(2**70)}, arrived=0, queue_s=0)
    watch.finished(record(), None, commit_s=0)
    attributes = room.spans["chat m"].attributes
    assert attributes is not None
    assert not {"gen_ai.request.seed", "gen_ai.request.max_tokens"} & set(attributes)


def test_each_attempt_is_a_span_and_a_repeat_an_event(room: Room) -> None:
    limits = {"requests": RateLimit(1000, 999, 86.4)}
    busy = UpstreamUnavailable("busy")
    room.chat(
        Attempt(1.0, headers_at=1.5, ended=2.0, status=503, error=busy),
        Attempt(5.0, headers_at=6.0, ended=6.5, status=200, rate_limits=limits),
        details=Details(retry_wait_ms=3000),
    )
    last, chat = room.spans["groq.attempt"], room.spans["chat m"]
    assert last.attributes == {
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
    room.chat(error=UpstreamRateLimited("slow down", said={"code": "whatever"}), outcome=Outcome.UPSTREAM_RATE_LIMITED)
    assert room.spans["chat m"].attributes
    assert room.spans["chat m"].attributes["error.type"] == "rate_limit_exceeded"


def test_a_wait_for_a_free_place_is_a_span_of_its_own(room: Room) -> None:
    room.chat(queue_s=0.5)
    waited = room.spans["chat.admission"]
    assert waited.start_time
    assert waited.end_time == waited.start_time + 500_000_000


def test_a_refusal_is_counted_and_told(room: Room, lines: list[Any]) -> None:
    room.probe.chat_refused(InvalidRequest("no", param="messages"), request_id=uuid4(), route="/chat")
    assert room.value("chat_requests_total", model="other", outcome="invalid_request") == 1
    assert (lines[0]["event"], lines[0]["error_code"]) == ("chat.refused", "invalid_request")


def test_a_commit_is_a_trace_of_its_own_with_links_to_its_chats(room: Room) -> None:
    told = [room.chat() for _ in range(3)]
    room.probe.rows_committed(told, began_ns=1000, took_s=0.25, failure="away")
    commit = room.spans["chat_logs.commit"]
    assert commit.context
    assert commit.parent is None
    linked = [f"00-{link.context.trace_id:032x}-{link.context.span_id:016x}-03" for link in commit.links]
    assert linked == [each.traceparent for each in told]
    assert f"{commit.context.trace_id:032x}" not in "".join(linked)
    assert commit.attributes == {"chat_logs.rows": 3, "db.system.name": "sqlite", "error.type": "away"}
    assert commit.status.status_code is StatusCode.ERROR
    assert room.value("chat_log_commit_failures_total", reason="away") == 1
    assert room.value("chat_log_batch_rows_sum") == 0
    room.probe.rows_committed(told, began_ns=1000, took_s=0.0, failure=None)
    assert room.value("chat_log_batch_rows_sum") == 3
    assert room.value("chat_log_commit_seconds_sum") == 0.25


def test_observations_carry_the_trace_they_come_from(room: Room) -> None:
    told = room.chat(ttft_ms=20.0)
    (metric,) = (each for each in room.metrics.registry.collect() if each.name == "chat_time_to_first_token_seconds")
    (exemplar,) = (sample.exemplar for sample in metric.samples if sample.exemplar)
    assert exemplar.labels["trace_id"] == told.traceparent.split("-")[1] if told.traceparent else False
    assert exemplar.value == 0.02


def test_a_model_outside_the_price_list_is_the_other_one(room: Room) -> None:
    for number in range(50):
        watch = room.probe.chat_began(uuid4(), {"model": f"made-up-{number}"}, arrived=0, queue_s=0)
        watch.finished(record(model_name=f"made-up-{number}"), None, commit_s=0)
    assert room.value("chat_requests_total", model="other", outcome="completed") == 50
    assert list(room.spans) == ["chat other"]

"""The facade: facts go in, signals come out, and nothing is raised."""

import re
from typing import Any
from uuid import uuid4

import pytest
from opentelemetry.trace import StatusCode

from app.core.errors import InternalError, InvalidRequest, PersistenceFailed, ServiceError
from app.core.outcomes import REFUSALS, Outcome
from app.core.record import NO_MESSAGES, Details, StoredIn
from app.core.upstream import Attempt, RateLimit
from app.db.errors import RowsRejected
from tests.observability.harness import Harness
from tests.observability.test_docs import table
from tests.support.records import record


def test_chat_is_one_line_without_content(harness: Harness, lines: list[Any]) -> None:
    chat = harness.chat(Attempt("m", 1.0, headers_at=1.1, ended=1.2, rate_limits={"tokens": RateLimit(100, 70, 1.0)}))
    (line,) = lines
    assert line["event"] == "chat.finished"
    assert line["request_id"] == str(chat.id)
    assert chat.traceparent == f"00-{line['trace_id']}-{line['span_id']}-03"
    assert (line["ratelimit_remaining_tokens"], line["commit_ms"], line["overhead_ms"]) == (70, 4.0, None)
    assert not {"prompt", "messages", "response", "reasoning", "tool_calls", "params", "details"} & set(line)


def test_bug_is_an_error_with_its_cause(harness: Harness, lines: list[Any]) -> None:
    error = InternalError("for the client")
    error.__cause__ = RuntimeError("the cause")
    harness.chat(error=error, outcome=Outcome.INTERNAL_ERROR)
    assert lines[0]["log_level"] == "error"
    assert lines[0]["exc_info"] is error.__cause__
    assert harness.spans["chat m"].status.status_code is StatusCode.ERROR


def test_bug_of_a_private_chat_is_logged_without_its_message(harness: Harness, lines: list[Any]) -> None:
    error = InternalError("for the client")
    error.__cause__ = RuntimeError("a word of mine")
    harness.chat(error=error, outcome=Outcome.INTERNAL_ERROR, messages=NO_MESSAGES)
    assert lines[0]["exception"].endswith("RuntimeError")
    assert not lines[0]["exc_info"]
    assert "a word of mine" not in str(lines[0])


def test_rejected_rows_and_failures_of_the_quota_store_are_counted(harness: Harness) -> None:
    harness.telemetry.row_rejected()
    harness.telemetry.quota_store_failed("enter")
    assert harness.value("chat_log_rejected_rows_total") == 1
    assert harness.value("quota_store_failures_total", operation="enter") == 1


def test_lost_row_has_no_traceback_of_the_database(harness: Harness, lines: list[Any]) -> None:
    lost = PersistenceFailed()
    lost.__cause__ = RowsRejected("null value in column")
    lost.__cause__.__cause__ = RuntimeError("DETAIL: Failing row contains (a-word-of-mine)")
    harness.chat(lost=lost, outcome=Outcome.PERSISTENCE_FAILED)
    assert lines[0]["error"] == "null value in column"
    assert not lines[0]["exc_info"]
    assert harness.spans["chat m"].attributes
    assert harness.spans["chat m"].attributes["error.type"] == "persistence_failed"


def test_bug_is_logged_even_if_its_row_is_lost(harness: Harness, lines: list[Any]) -> None:
    bug, lost = InternalError("for the client"), PersistenceFailed()
    bug.__cause__ = RuntimeError("the cause")
    harness.chat(error=bug, lost=lost, outcome=Outcome.PERSISTENCE_FAILED)
    assert (lines[0]["exc_info"], lines[0]["failed_with"]) == (bug.__cause__, "internal_error")


def test_failing_signal_does_not_raise(harness: Harness, lines: list[Any]) -> None:
    broken: Any = object()
    chat = harness.telemetry.chat_began(broken, broken, arrived=0, admitted=0, queue_s=0)
    chat.attempted(broken)
    chat.finished(broken, None, commit_s=0, stored_in=StoredIn.DATABASE)
    harness.telemetry.rows_committed(broken, began_ns=0, took_s=0, failure=None)
    assert chat.traceparent is None
    assert {line["event"] for line in lines} == {"telemetry.failed"}


def test_failing_signal_does_not_stop_the_others(harness: Harness, lines: list[Any]) -> None:
    harness.chat(cost_usd=-1.0)  # a counter cannot decrease
    assert [line["event"] for line in lines] == ["telemetry.failed", "chat.finished"]
    assert "chat m" in harness.spans


def test_refusal_is_counted_and_logged(harness: Harness, lines: list[Any]) -> None:
    refusal = InvalidRequest("no", param="messages")
    harness.telemetry.chat_refused(
        refusal, request_id=uuid4(), route="/chat", model="unknown", client="alice", has_key=True
    )
    assert harness.value("chat_requests_total", model="other", outcome="invalid_request") == 1
    assert (lines[0]["event"], lines[0]["error_code"]) == ("chat.refused", "invalid_request")
    assert lines[0]["client"] == "alice"


def test_observation_has_an_exemplar(harness: Harness) -> None:
    chat = harness.chat(ttft_ms=20.0)
    (metric,) = (
        each for each in harness.telemetry.metrics.registry.collect() if each.name == "chat_time_to_first_token_seconds"
    )
    (exemplar,) = (sample.exemplar for sample in metric.samples if sample.exemplar)
    assert chat.traceparent
    assert exemplar.labels == {"trace_id": chat.traceparent.split("-")[1], "chat_id": str(chat.id)}
    assert exemplar.value == 0.02


def test_first_token_after_hidden_reasoning_is_not_observed(harness: Harness) -> None:
    """Groq sends nothing while the model reasons, which is no slow first token."""
    for hidden in (False, True):
        harness.chat(ttft_ms=2000.0, details=Details(hidden_reasoning=hidden))
    assert harness.value("chat_time_to_first_token_seconds_count", model="m") == 1


def test_unknown_model_is_other(harness: Harness) -> None:
    for number in range(50):
        chat = harness.telemetry.chat_began(uuid4(), {"model": f"made-up-{number}"}, arrived=0, admitted=0, queue_s=0)
        chat.finished(record(model_name=f"made-up-{number}"), None, commit_s=0, stored_in=StoredIn.DATABASE)
    assert harness.value("chat_requests_total", model="other", outcome="completed") == 50
    assert list(harness.spans) == ["chat other"]


def documented_levels() -> dict[str, str]:
    """The level of each outcome, by the table in docs/observability.md."""
    rows = [(level.strip("`"), re.findall(r"`(\w+)`", outcomes)) for level, outcomes, _ in table("level")]
    return {outcome: level for level, outcomes in rows for outcome in outcomes}


def test_every_outcome_has_a_documented_level() -> None:
    assert set(documented_levels()) == set(Outcome)


@pytest.mark.parametrize("outcome", Outcome)
def test_level_of_a_chat_or_refusal_depends_on_its_outcome(
    harness: Harness, lines: list[Any], monkeypatch: pytest.MonkeyPatch, outcome: Outcome
) -> None:
    if outcome in REFUSALS:
        monkeypatch.setattr(ServiceError, "outcome", outcome)
        facts: dict[str, Any] = {"request_id": uuid4(), "route": "/chat", "model": None, "client": None}
        harness.telemetry.chat_refused(ServiceError("no"), **facts, has_key=True)
    else:
        harness.chat(outcome=outcome, attempts=1)
    assert [line["log_level"] for line in lines] == [documented_levels()[outcome]]


def test_completed_chat_that_was_retried_is_a_warning(harness: Harness, lines: list[Any]) -> None:
    harness.chat(outcome=Outcome.COMPLETED, attempts=2)
    harness.chat(outcome=Outcome.CLIENT_DISCONNECTED, attempts=2)
    assert [line["log_level"] for line in lines] == ["warning", "info"]

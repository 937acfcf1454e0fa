"""The probe: facts in, nothing back."""

from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from app.core.errors import InternalError, NotRecorded
from app.core.outcomes import Outcome
from app.db.errors import RowsRefused
from app.observability.probe import Probe
from tests.support.records import record


@pytest.fixture(autouse=True)
def fresh_structlog() -> None:
    structlog.reset_defaults()


def test_a_chat_is_one_line_with_every_fact_but_the_texts() -> None:
    with capture_logs() as lines:
        Probe().chat_finished(record(), None)
    (line,) = lines
    assert line["event"] == "chat.finished"
    assert line["request_id"]
    assert not {"prompt", "messages", "response", "reasoning", "tool_calls", "params"} & set(line)


def test_a_bug_of_ours_is_an_error_with_its_cause() -> None:
    error = InternalError("told to the client")
    error.__cause__ = RuntimeError("the cause")
    with capture_logs() as lines:
        Probe().chat_finished(record(outcome=Outcome.INTERNAL_ERROR), error)
    assert lines[0]["log_level"] == "error"
    assert lines[0]["exc_info"] is error.__cause__


def test_what_a_database_says_of_a_row_that_it_refused_is_not_shown_as_a_traceback() -> None:
    error = NotRecorded("told to the client")
    error.__cause__ = RowsRefused("null value in column")
    error.__cause__.__cause__ = RuntimeError("DETAIL: Failing row contains (a-word-of-mine)")
    with capture_logs() as lines:
        Probe().chat_finished(record(outcome=Outcome.NOT_RECORDED), error)
    assert lines[0]["error"] == "null value in column"
    assert "exc_info" not in lines[0]


def test_a_signal_that_fails_takes_nobody_along() -> None:
    broken: Any = object()
    with capture_logs() as lines:
        Probe().chat_finished(broken, None)
    assert lines[0]["event"] == "probe.failed"

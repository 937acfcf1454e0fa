"""Requests, rows, log lines, spans and metrics are counted apart and agree, for every outcome, over two workers."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx2
import pytest
from prometheus_client.samples import Sample

from app.core.outcomes import REFUSALS, WITHOUT_ROW, Outcome
from tests.serving import traffic
from tests.serving.conftest import ENV
from tests.serving.traffic import Traffic
from tests.support.database import query
from tests.support.otlp import ReceivedSpan, collecting
from tests.support.scrape import total
from tests.support.service import SimulatedGroq
from tests.support.serving import serving
from tests.support.shared import SharedResources

SETTINGS = {
    **ENV,
    "DRAIN_TIMEOUT_S": "1",
    "GROQ_RETRY_SLEEP_BUDGET_S": "0.5",
    "INTER_TOKEN_TIMEOUT_S": "1",
    "CLIENT_WRITE_TIMEOUT_S": "1",
    "API_KEYS": traffic.API_KEYS,
    "QUOTA_REQUESTS_PER_MINUTE": str(traffic.REQUESTS_PER_MINUTE),
    "MAX_ACTIVE_STREAMS": str(traffic.MAX_ACTIVE_STREAMS),
    "TRACE_FLUSH_TIMEOUT_S": "8",
}


@dataclass(frozen=True)
class Signals:
    """All that the service recorded of `chats` requests."""

    chats: int
    output: str
    rows: list[dict[str, Any]]
    spans: list[ReceivedSpan]
    samples: list[Sample]

    @cached_property
    def counted(self) -> Counter[str]:
        """The metric's requests by outcome."""
        counted = Counter[str]()
        for sample in self.samples:
            if sample.name == "chat_requests_total":
                counted[sample.labels["outcome"]] += int(sample.value)
        return counted

    def lines(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.output.splitlines()]
        return [line for line in lines if line["event"] == event]

    @property
    def chat_spans(self) -> list[ReceivedSpan]:
        return [span for span in self.spans if "chat.id" in span.attributes]


@pytest.fixture(scope="module")
def signals(
    shared: SharedResources,
    groq_process: SimulatedGroq,
    http: httpx2.Client,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Signals]:
    folder = tmp_path_factory.mktemp("signals")
    url = shared.migrated_database("postgres", folder)
    with collecting() as collector:
        env = {**SETTINGS, **collector.env, "GROQ_BASE_URL": groq_process.url}
        app = "tests.serving.apps:with_bug()"
        with serving(folder, http, env, database_url=url, app=app) as workers:
            sent = Traffic(workers, groq_process)
            sent.all_outcomes(folder / "data" / "outbox")
            samples = sent.drain(collector)
            assert workers.program.wait() == 0
        rows = query(url, "SELECT id, outcome, trace_id, client FROM chat_logs")
        finished = workers.program.output.count('"event":"chat.finished"')
        collector.wait_for(lambda span: "chat.id" in span.attributes, finished)
        yield Signals(sent.chats, workers.program.output, rows, collector.spans, samples)


def test_traffic_has_every_outcome(signals: Signals) -> None:
    assert {outcome for outcome, count in signals.counted.items() if count} == {outcome.value for outcome in Outcome}
    assert total(signals.samples, "chat_active_streams") == 0


def test_metric_and_log_count_every_request(signals: Signals) -> None:
    finished, refused = signals.lines("chat.finished"), signals.lines("chat.refused")
    assert signals.counted.total() == signals.chats == len(finished) + len(refused)
    assert Counter(line["outcome"] for line in finished + refused) == +signals.counted
    assert {line["outcome"] for line in refused} == {outcome.value for outcome in REFUSALS}


def test_every_request_that_was_admitted_and_persisted_has_a_row(signals: Signals) -> None:
    expected = +signals.counted
    for outcome in WITHOUT_ROW:
        del expected[outcome]
    assert Counter(row["outcome"] for row in signals.rows) == expected


def test_row_log_line_and_span_of_a_chat_agree(signals: Signals) -> None:
    rows = {str(row["id"]): (row["outcome"], row["trace_id"], row["client"]) for row in signals.rows}
    lines = {
        line["request_id"]: (line["outcome"], line["trace_id"], line["client"])
        for line in signals.lines("chat.finished")
    }
    spans = {
        span.attributes["chat.id"]: (span.attributes["chat.outcome"], span.trace_id) for span in signals.chat_spans
    }
    assert len(spans) == len(signals.chat_spans)
    assert {chat: facts for chat, facts in lines.items() if facts[0] != "persistence_failed"} == rows
    assert {chat: facts[:2] for chat, facts in lines.items()} == spans


def test_wrong_key_is_counted_on_every_path_and_refuses_a_chat_only_where_one_was_requested(signals: Signals) -> None:
    routes = [line["route"] for line in signals.lines("key.refused")]
    assert routes == ["/v1/models", "/v1/models/{model:path}", "/page/chats/{chat_id}"]
    failures = total(signals.samples, "auth_failures_total")
    assert failures == len(routes) + signals.counted["rejected_unauthorized"]


def test_span_of_a_drained_chat_has_an_event_and_is_not_failed(signals: Signals) -> None:
    drained = [span for span in signals.chat_spans if span.attributes["chat.outcome"] == "draining"]
    assert drained
    assert all("draining" in span.events and not span.failed for span in drained)


def test_no_signal_contains_content_or_keys(signals: Signals) -> None:
    for text in (signals.output, str(signals.samples), str(signals.spans)):
        for secret in (traffic.PROMPT, traffic.SECRET_KEY, ENV["GROQ_API_KEY"], "You asked"):
            assert secret not in text


def test_log_has_the_exception_of_a_bug_and_no_other(signals: Signals) -> None:
    exceptions = {
        line["exception"].rpartition("\n")[2]
        for line in signals.lines("chat.finished")
        if line["outcome"] == "internal_error"
    }
    assert exceptions == {"RuntimeError: a bug"}
    assert "Failed to detach context" not in signals.output

"""Every query of dashboards and rules on a Prometheus that scrapes two workers under load with faults."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from tests.deploy.grafana import expressions
from tests.support.database import query
from tests.support.otlp import Collector, collecting
from tests.support.prometheus import Prometheus, prometheus, rules, runbook_blocks
from tests.support.service import HELLO, PATH, SimulatedGroq, http_client
from tests.support.serving import Workers, serving
from tests.support.shared import SharedResources
from tests.support.waiting import wait_until

pytestmark = pytest.mark.needs("prometheus")

_LOAD_S = 25
_FAULTS: list[dict[str, Any]] = [
    {"status": 503, "probability": 0.15},
    {"status": 429, "retry_after_s": 600, "probability": 0.05},
    {"ending": "truncate", "after_tokens": 5, "probability": 0.1},
    {"silence_s": 1.2, "after_tokens": 5, "probability": 0.1},
]
_MODELS = ("openai/gpt-oss-20b", "openai/gpt-oss-120b")


@dataclass(frozen=True)
class Live:
    """The processes that ran during the load."""

    workers: Workers
    prometheus: Prometheus
    collector: Collector


@pytest.fixture(scope="module")
def live(
    shared: SharedResources,
    groq_process: SimulatedGroq,
    http: httpx2.Client,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("live")
    url = shared.migrated_database("postgres", folder)
    groq_process.recover()
    with collecting() as collector:
        env = {
            "GROQ_API_KEY": "test",
            "GROQ_BASE_URL": groq_process.url,
            "GROQ_RETRY_SLEEP_BUDGET_S": "1",
            "DRAIN_TIMEOUT_S": "1",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        with serving(folder, http, env, database_url=url) as workers:
            # As in docker-compose.yml: twice as many ports as workers, and half of them are closed.
            every = range(workers.metrics_base, workers.metrics_base + 2 * workers.count)
            with prometheus(folder, [f"127.0.0.1:{port}" for port in every]) as watching:
                groq_process.fail(*_FAULTS)
                put_under_load(workers)
                groq_process.recover()
                yield Live(workers, watching, collector)


def put_under_load(workers: Workers) -> None:
    """Sends chats from six clients, with a new connection for each chat."""
    end = time.monotonic() + _LOAD_S

    def chat(number: int) -> None:
        while time.monotonic() < end:
            body = {**HELLO, "model": _MODELS[number % len(_MODELS)]}
            with http_client() as client:
                client.post(workers.url + PATH, json=body)
            time.sleep(0.2)

    clients = [threading.Thread(target=chat, args=(number,)) for number in range(6)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()


def test_every_panel_has_data(live: Live) -> None:
    """Every query returns data, except in panels with a text for no data."""
    answers = {each: live.prometheus.query(each.expr) for each in expressions()}
    empty = [each for each, samples in answers.items() if not samples and not each.may_be_empty]
    assert [f"{each.dashboard}: {each.panel}: {each.expr}" for each in empty] == []
    assert len(answers) > 50


def test_every_recording_rule_has_data(live: Live) -> None:
    recorded = {rule.record for rule in rules() if rule.record}
    assert recorded
    assert {name for name in recorded if not live.prometheus.query(name)} == set()


def test_every_rule_is_evaluated_without_an_error(live: Live) -> None:
    groups = httpx2.get(f"{live.prometheus.url}/api/v1/rules", trust_env=False).json()["data"]["groups"]
    evaluated = {rule["name"]: (rule["health"], rule.get("lastError")) for group in groups for rule in group["rules"]}
    assert set(evaluated) == {rule.record or rule.alert for rule in rules()}
    assert set(evaluated.values()) == {("ok", None)}


def test_queries_of_the_runbook_are_answered(live: Live) -> None:
    """Two series that a query cannot match are an error only when it is evaluated."""
    lines = [line for block in runbook_blocks("promql") for line in block.splitlines()]
    answered = {line for line in lines if live.prometheus.query(line)}
    assert "sum by (instance) (chat_active_streams)" in answered
    assert any("upstream_error" in line for line in answered)


def test_prometheus_counts_equal_the_rows_in_the_database(live: Live) -> None:
    rows = query(live.workers.database_url, "SELECT outcome, count(*) AS count FROM chat_logs GROUP BY outcome")
    assert len(rows) >= 3
    in_database = {row["outcome"]: row["count"] for row in rows}

    def in_prometheus() -> dict[str, float]:
        samples = live.prometheus.query("sum by (outcome) (chat_requests_total) > 0")
        return {each["metric"]["outcome"]: float(each["value"][1]) for each in samples}

    wait_until(lambda: in_prometheus() == in_database, "the counts in Prometheus and in the database differ")


def test_closed_ports_fire_no_alert(live: Live) -> None:
    """Half of the ports are closed outside of reloads."""
    (up,) = live.prometheus.query('sum(up{job="chat"})')
    assert float(up["value"][1]) == live.workers.count
    begun = {each["metric"]["alertname"] for each in live.prometheus.query("ALERTS")}  # pending ones, too
    assert not {name for name in begun if "Worker" in name or "Down" in name}


def test_exemplar_has_the_trace_whose_span_has_the_row(live: Live) -> None:
    """The exemplar has the trace's id, and the trace has the row's id."""
    parameters = {
        "query": "chat_time_to_first_token_seconds_bucket",
        "start": str(time.time() - 120),
        "end": str(time.time()),
    }
    answer = httpx2.get(f"{live.prometheus.url}/api/v1/query_exemplars", params=parameters, trust_env=False).json()
    exemplars = [exemplar for series in answer["data"] for exemplar in series["exemplars"]]
    assert exemplars
    trace_id = exemplars[-1]["labels"]["trace_id"]
    (chat,) = [span for span in live.collector.trace(trace_id, "chat ") if span.name.startswith("chat ")]
    row = live.workers.row(chat.attributes["chat.id"])
    assert row["trace_id"] == trace_id
    assert row["ttft_ms"] == pytest.approx(float(exemplars[-1]["value"]) * 1000)

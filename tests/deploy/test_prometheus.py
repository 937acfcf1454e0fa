"""Rules and their tests: valid, complete, and limited to existing metrics and labels."""

import re
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import start_http_server

from app.core.outcomes import Outcome
from app.observability.metrics import Metrics
from tests.support.prometheus import FOLDER, matchers, metric_names, parse, prometheus, promtool, rules, runbook_blocks

RULE_FILES = sorted(FOLDER.glob("rules/*.yml"))
TEST_FILES = sorted(FOLDER.glob("tests/*.yml"))
RUNBOOK_URL = '{{ with query "chat:runbook:info" }}{{ . | first | label "url" }}{{ end }}'
DASHBOARDS = {"chat-overview", "chat-groq", "chat-workers", "chat-chats"}

# Outcomes in the SLO of availability. A new outcome fails a test until it is in one of these sets.
GOOD = {"completed"}
BAD = {
    "upstream_error",
    "upstream_timeout",
    "upstream_rate_limited",
    "rejected_overload",
    "rejected_unavailable",
    "persistence_failed",
    "internal_error",
}
EXCLUDED = {
    "client_disconnected",
    "client_stalled",
    "upstream_rejected",
    "invalid_request",
    "rejected_unauthorized",
    "rejected_quota",
    "draining",
}

# (burn rate, long window, short window, severity)
PAGES = {("14.4", "1h", "5m", "page"), ("6", "6h", "30m", "page")}
TICKETS = {("3", "1d", "2h", "ticket"), ("1", "3d", "6h", "ticket")}
BURNS = {"ChatAvailabilityBurn": PAGES | TICKETS, "ChatFirstTokenBurn": PAGES | TICKETS, "ChatTokenPaceBurn": TICKETS}

ALERTS = [rule for rule in rules() if rule.alert]
NAMES = {rule.alert for rule in ALERTS}


def new_metrics() -> Metrics:
    return Metrics(models=["m"], info={}, workers=1)


def queries() -> Iterator[str]:
    """Every expression in rules, annotations and the runbook."""
    for rule in rules():
        yield rule.expr
        for text in rule.annotations.values():
            yield from re.findall(r'query "([^"]+)"', text)
            yield from (found.replace("%q", '".+"') for found in re.findall(r'printf "([^"]+%q[^"]*)"', text))
    for block in runbook_blocks("promql"):
        yield from block.splitlines()


@pytest.mark.needs("promtool")
def test_prometheus_accepts_the_configuration() -> None:
    promtool("check", "config", "prometheus.yml")


@pytest.mark.needs("promtool")
def test_prometheus_accepts_the_rules() -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", *RULE_FILES)


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("file", TEST_FILES, ids=lambda file: file.stem)
def test_alerts_fire_when_they_should_and_only_then(file: Path) -> None:
    promtool("test", "rules", file)


def test_every_alert_has_annotations_and_a_severity() -> None:
    for rule in ALERTS:
        assert set(rule.annotations) == {"summary", "description", "runbook_url", "dashboard"}, rule.alert
        assert rule.annotations["runbook_url"] == f"{RUNBOOK_URL}#{rule.alert.lower()}"
        assert rule.annotations["dashboard"] in DASHBOARDS, rule.alert
        assert rule.labels["severity"] in ({"none"} if rule.alert == "Watchdog" else {"page", "ticket"}), rule.alert


def test_address_of_the_runbook_is_set_once() -> None:
    [rule] = [rule for rule in rules() if rule.record == "chat:runbook:info"]
    assert rule.labels["url"].startswith("https://")
    assert "".join(path.read_text() for path in RULE_FILES).count(rule.labels["url"]) == 1


def test_every_alert_has_a_firing_and_a_silent_test_case() -> None:
    fired: dict[str, list[dict[str, Any]]] = defaultdict(list)
    silent: set[str] = set()
    for file in TEST_FILES:
        for case in (case for test in parse(file)["tests"] for case in test.get("alert_rule_test", ())):
            expected = case.get("exp_alerts") or ()
            fired[case["alertname"]] += [alert["exp_labels"] for alert in expected]
            silent |= set() if expected else {case["alertname"]}
    assert silent == NAMES - {"Watchdog"}  # it fires always
    for rule in ALERTS:  # several rules may share a name, and differ in their labels
        assert any(rule.labels.items() <= labels.items() for labels in fired[rule.alert]), (rule.alert, rule.labels)


def test_queried_metrics_exist() -> None:
    known = {rule.record for rule in rules()} | {"up", "prometheus_rule_evaluation_failures_total"}
    for family in new_metrics().registry.collect():
        known |= {family.name, *(sample.name for sample in family.samples)}
    names = {name for expr in queries() for name in metric_names(expr)}
    assert "chat_time_to_first_token_seconds_bucket" in names
    assert names - known == set()


def test_selected_label_values_exist() -> None:
    """An `le` that is no bucket bound, or a misspelt outcome, would select nothing without an error."""
    values: dict[tuple[str, str], set[str]] = defaultdict(set)
    for family in new_metrics().registry.collect():
        for sample in family.samples:
            for label, value in sample.labels.items():
                values[sample.name, label].add(value)
    selected = {
        (metric, label, one) for q in queries() for metric, label, each in matchers(q) for one in each.split("|")
    }
    known = {(metric, label, pattern) for metric, label, pattern in selected if (metric, label) in values}
    assert ("chat_time_to_first_token_seconds_bucket", "le", "1.0") in known
    for metric, label, pattern in known:
        assert any(re.fullmatch(pattern, value) for value in values[metric, label]), (metric, label, pattern)


def test_every_outcome_is_good_bad_or_excluded() -> None:
    assert sorted([*GOOD, *BAD, *EXCLUDED]) == sorted(Outcome)
    counted = {
        rule.record: {
            value for _, label, each in matchers(rule.expr) if label == "outcome" for value in each.split("|")
        }
        for rule in rules()
        if rule.labels.get("sloth_slo") == "availability" and rule.record.startswith("slo:events")
    }
    assert counted == {"slo:events_bad:rate5m": BAD, "slo:events:rate5m": GOOD}  # the rule adds the bad events


def test_windows_match_their_names() -> None:
    windows = [
        (rule, found[1])
        for rule in rules()
        if (found := re.search(r"slo:(?:sli_error:ratio_rate|events_bad:significant)(\w+)", rule.record))
    ]
    assert len(windows) == 12
    for rule, window in windows:
        assert set(re.findall(r"\[(\w+):", rule.expr)) | {"5m"} == {window, "5m"}, rule.record
        assert rule.labels.get("sloth_window", window) == window


def test_burn_alerts_have_the_expected_rates_and_windows() -> None:
    paces: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for rule in (rule for rule in ALERTS if rule.alert in BURNS):
        long, short = re.findall(r"ratio_rate(\w+)", rule.expr)
        (factor,) = set(re.findall(r"\(([\d.]+) \* slo:error_budget:ratio\)", rule.expr))
        assert re.findall(r"significant(\w+)", rule.expr) == [long] == [rule.labels["sloth_window"]]
        paces[rule.alert].add((factor, long, short, rule.labels["severity"]))
    assert paces == BURNS


@pytest.mark.needs("prometheus")
def test_prometheus_computes_slos_from_a_workers_metrics(tmp_path: Path) -> None:
    metrics = new_metrics()
    server, thread = start_http_server(0, "127.0.0.1", metrics.registry)
    try:
        with prometheus(tmp_path, [f"127.0.0.1:{server.server_port}"]) as running:
            deadline = time.monotonic() + 30
            while len(running.query("slo:sli_error:ratio_rate5m")) < 3 and time.monotonic() < deadline:
                for outcome, seconds in (("completed", 0.9), ("internal_error", 1.1), ("draining", 0.9)):
                    metrics.chats.requests.labels("m", outcome).inc()
                    metrics.chats.time_to_first_token.labels("m").observe(seconds)
                    metrics.chats.time_per_output_token.labels("m").observe(seconds / 50)
                time.sleep(0.2)
            ratios = running.query("round(10 * slo:sli_error:ratio_rate5m)")
            assert {each["metric"]["sloth_slo"]: each["value"][1] for each in ratios} == {
                "availability": "5",
                "time-to-first-token": "3",
                "time-per-output-token": "3",
            }
            assert running.query("app_workers")[0]["metric"]["host"] == "127.0.0.1"
            assert running.query("ALERTS{severity='page', alertstate='firing'}") == []
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

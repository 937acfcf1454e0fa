"""Alertmanager's configuration: which alerts are one notification, and which are inhibited."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.alertmanager import CONFIG, Alertmanager, alertmanager
from tests.support.prometheus import parse, rules

pytestmark = pytest.mark.needs("alertmanager")

SEVERITIES = {rule.alert: rule.labels["severity"] for rule in rules() if rule.alert}


def alert(name: str, **labels: str) -> dict[str, str]:
    """The labels of a firing alert; the severity is that of the rules."""
    return {"alertname": name, "severity": SEVERITIES[name]} | labels


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Alertmanager]:
    with alertmanager(tmp_path) as running:
        yield running


def test_outage_of_the_database_is_a_page_for_each_kind_and_no_ticket(running: Alertmanager) -> None:
    running.send(
        alert("ChatStorageUnavailable"),
        alert("ChatOutboxFills", host="a"),
        alert("ChatOutboxFills", host="b"),
        alert("ChatRowsWaiting", host="a"),
        alert("ChatCommitsSlow"),
        alert("ChatAvailabilityBurn", severity="page"),
        alert("ChatAvailabilityBurn", severity="ticket"),
    )
    for name in ("ChatOutboxFills", "ChatStorageUnavailable", "ChatAvailabilityBurn"):
        running.received(name)
    running.send(alert("ChatCostHigh"))  # what came with the pages would be sent before this
    running.received("ChatCostHigh")
    assert sorted(running.notifications) == [
        ("page", ["ChatAvailabilityBurn"]),
        ("page", ["ChatOutboxFills", "ChatOutboxFills"]),
        ("page", ["ChatStorageUnavailable"]),
        ("ticket", ["ChatCostHigh"]),
    ]


def test_workers_that_are_not_ready_are_one_notification(running: Alertmanager) -> None:
    running.send(
        alert("ChatNotReady", severity="page"),
        alert("ChatNotReady", severity="ticket", host="a"),
        alert("ChatStorageUnavailable"),
        alert("ChatAvailabilityBurn", severity="page"),
        alert("ChatNoTraffic"),
    )
    running.received("ChatNotReady")
    running.send(alert("ChatCostHigh"))
    assert running.received("ChatCostHigh") == [("page", ["ChatNotReady"]), ("ticket", ["ChatCostHigh"])]


def test_one_environment_does_not_inhibit_another(running: Alertmanager) -> None:
    running.send(alert("ChatDown", cluster="staging"), alert("GroqKeyRefused", cluster="staging"))
    running.received("ChatDown")
    running.send(alert("GroqKeyRefused", cluster="production"))
    assert running.received("GroqKeyRefused") == [("page", ["ChatDown"]), ("page", ["GroqKeyRefused"])]


def test_failing_groq_is_one_notification(running: Alertmanager) -> None:
    running.send(
        alert("ChatAvailabilityBurn", severity="page"),
        alert("ChatAvailabilityBurn", severity="ticket"),
        alert("GroqRetriesExhausted"),
        alert("GroqRateLimits", model="m"),
    )
    running.received("ChatAvailabilityBurn")
    running.send(alert("ChatCostHigh"))
    assert running.received("ChatCostHigh") == [("page", ["ChatAvailabilityBurn"]), ("ticket", ["ChatCostHigh"])]


def test_outage_of_groq_is_a_page_while_a_model_is_gone(running: Alertmanager) -> None:
    running.send(alert("GroqModelGone"))
    assert running.received("GroqModelGone") == [("page", ["GroqModelGone"])]
    running.send(alert("ChatAvailabilityBurn", severity="page"), alert("ChatFirstTokenBurn", severity="page"))
    pages = {name for receiver, names in running.received("ChatFirstTokenBurn") if receiver == "page" for name in names}
    assert pages == {"GroqModelGone", "ChatAvailabilityBurn", "ChatFirstTokenBurn"}


def test_full_and_crashing_workers_are_two_notifications(running: Alertmanager) -> None:
    running.send(
        alert("ChatOverloaded"),
        alert("ChatNearCapacity", host="a", instance="a:9464"),
        alert("ChatWorkersRestarting", severity="page", host="a"),
        alert("ChatWorkersMissing", host="a"),
    )
    running.received("ChatOverloaded")
    running.send(alert("ChatCostHigh"))
    running.received("ChatCostHigh")
    assert sorted(running.notifications) == [
        ("page", ["ChatWorkersRestarting"]),
        ("ticket", ["ChatCostHigh"]),
        ("ticket", ["ChatOverloaded"]),
    ]


def test_missing_redis_is_one_notification_where_quotas_are_required(running: Alertmanager) -> None:
    running.send(alert("ChatStorageUnavailable"), alert("ChatQuotaStoreUnavailable", host="a"))
    running.received("ChatStorageUnavailable")
    running.send(alert("ChatCostHigh"))
    assert running.received("ChatCostHigh") == [("page", ["ChatStorageUnavailable"]), ("ticket", ["ChatCostHigh"])]


def test_different_tickets_are_different_notifications(running: Alertmanager) -> None:
    running.send(alert("ChatRowsWaiting", host="a"), alert("ChatRowsWaiting", host="b"), alert("ChatSpansDropped"))
    running.received("ChatSpansDropped")
    assert ("ticket", ["ChatRowsWaiting", "ChatRowsWaiting"]) in running.received("ChatRowsWaiting")
    assert ("ticket", ["ChatSpansDropped"]) in running.notifications


def test_without_workers_only_the_watchdog_comes_beside(running: Alertmanager) -> None:
    running.send(alert("ChatDown"), alert("ChatWorkersMissing", host="a"), alert("Watchdog"))
    running.received("ChatDown")
    running.send(alert("MonitoringTargetDown", job="jaeger"), alert("ChatSpansDropped", host="a"))
    names = {name for _, alerts in running.received("MonitoringTargetDown") for name in alerts}
    assert names == {"ChatDown", "Watchdog", "MonitoringTargetDown"}
    assert {receiver for receiver, alerts in running.notifications if alerts == ["Watchdog"]} == {"watchdog"}


def test_inhibited_alerts_exist() -> None:
    for inhibition in parse(CONFIG)["inhibit_rules"]:
        for matcher in (*inhibition["source_matchers"], *inhibition["target_matchers"]):
            label, value = re.split(r" =~? ", matcher)
            for one in value.split("|") if label == "alertname" and "(" not in value else [value]:
                assert label != "alertname" or any(re.fullmatch(one, name) for name in SEVERITIES), one

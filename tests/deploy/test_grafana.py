"""The dashboards are up to date and valid, and query existing metrics and labels."""

import json
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from app.core.outcomes import WITHOUT_ROW, Outcome
from app.observability.conventions import ATTEMPT_RESULTS
from app.observability.metrics import Metrics
from tests.deploy.grafana import FOLDER, Json, dashboards, expressions, load_yaml, panels, variables
from tests.support.processes import PROJECT

TYPES = {"bargauge", "heatmap", "stat", "table", "timeseries", "traces"}
WITHOUT_UNIT = {"table", "traces"}
BUILTIN = {"up", "ALERTS"}
# Not exported on every system that runs the tests.
PROCESS = {
    "process_cpu_seconds_total",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
}
WORDS = {"and", "bool", "by", "group", "group_left", "ignoring", "on", "or", "unless", "without"}
AGGREGATIONS = {"avg", "count", "max", "min", "sum"}

RULES = [path for path in (PROJECT / "deploy" / "prometheus" / "rules").glob("*.yml") if path.is_file()]
PAGES = {page["uid"]: page for page in dashboards()}
PANELS = [(page["uid"], panel) for page in PAGES.values() for panel in panels(page)]


def panel(uid: str, title: str) -> Json:
    (found,) = [each for each in panels(PAGES[uid]) if each["title"] == title]
    return found


@cache
def provisioned() -> dict[str, Json]:
    sources = load_yaml(FOLDER / "provisioning" / "datasources" / "datasources.yml")["datasources"]
    return {source["uid"]: source for source in sources}


def colours(of: Json) -> dict[str, str]:
    return {each["matcher"]["options"]: each["properties"][0]["value"] for each in of["fieldConfig"]["overrides"]}


@cache
def samples() -> list[Any]:
    registry = Metrics(models=["m"], info={}, workers=1).registry
    return [sample for family in registry.collect() for sample in family.samples]


@cache
def known_metrics() -> set[str]:
    registry = Metrics(models=["m"], info={}, workers=1).registry
    recorded = {
        rule["record"]
        for path in RULES
        for group in load_yaml(path)["groups"]
        for rule in group["rules"]
        if "record" in rule
    }
    families = {family.name for family in registry.collect()}  # some have no samples before Groq's first response
    return {sample.name for sample in samples()} | families | recorded | BUILTIN | PROCESS


def metrics_in(expr: str) -> set[str]:
    """Names of metrics, without functions, labels and durations."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^]]*\]', " ", expr)
    bare = re.sub(r"\b(by|on|ignoring|without|group_left)\s*\([^)]*\)", " ", bare)
    names = set(re.findall(r"(?<![\w:.])([a-zA-Z_:][\w:]*)(?![\w:]|\s*\()", bare))
    return names - WORDS - AGGREGATIONS


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder / "build.py"), "--check"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_dashboards_are_up_to_date() -> None:
    checked = build(FOLDER)
    assert checked.returncode == 0, checked.stderr


def test_check_names_changed_and_unknown_dashboards(tmp_path: Path) -> None:
    copy = shutil.copytree(FOLDER, tmp_path / "grafana")
    shutil.copytree(FOLDER.parent / "prometheus", tmp_path / "prometheus")  # the alerts have links
    altered = copy / "dashboards" / "groq.json"
    altered.write_text(altered.read_text().replace("Rate-limit headroom", "Changed"))
    (copy / "dashboards" / "unknown.json").write_text("{}")
    checked = build(copy)
    assert checked.returncode == 1
    assert "groq.json, unknown.json" in checked.stderr
    assert "overview.json" not in checked.stderr


@pytest.mark.parametrize("expression", expressions(), ids=lambda each: f"{each.dashboard}: {each.panel}")
def test_queried_metrics_exist(expression: Any) -> None:
    names = metrics_in(expression.expr)
    assert names
    assert names <= known_metrics()


def test_selected_label_values_exist() -> None:
    """A misspelt outcome would select nothing, which looks like an absence of errors."""
    known: dict[str, set[str]] = {}
    for sample in samples():
        for label, value in sample.labels.items():
            known.setdefault(label, set()).add(value)
    for dashboard, title, expr, _ in expressions():
        for label, _, values in re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', expr):
            if label in known:
                missing = set(values.split("|")) - known[label] - {".*", ""}
                assert not missing, f"{dashboard}: {title}: {label}={missing}"


@pytest.mark.parametrize("uid", PAGES)
def test_dashboard_is_valid_for_grafana(uid: str) -> None:
    page = PAGES[uid]
    assert page["schemaVersion"] in (41, 42)
    assert page["refresh"] == "10s"
    assert page["time"] == {"from": "now-1h", "to": "now"}
    assert page["tags"]
    ids = [each["id"] for each in page["panels"]]
    assert len(ids) == len(set(ids))
    names = {variable["name"] for variable in variables(page)}
    for used in re.findall(r"\$\{?([a-z_]\w*)", json.dumps(page["panels"])):
        assert used in names or used.startswith("__"), used


@pytest.mark.parametrize("uid", PAGES)
def test_panels_fill_the_grid_without_overlap(uid: str) -> None:
    taken: set[tuple[int, int]] = set()
    height = 0
    for each in PAGES[uid]["panels"]:
        x, y, w, h = (each["gridPos"][side] for side in "xywh")
        area = {(column, line) for column in range(x, x + w) for line in range(y, y + h)}
        assert x + w <= 24
        assert not area & taken, each["title"]
        taken |= area
        height = max(height, y + h)
    assert len(taken) == 24 * height


@pytest.mark.parametrize(("uid", "shown"), PANELS, ids=[f"{uid}: {shown['title']}" for uid, shown in PANELS])
def test_panel_has_a_description_a_unit_and_a_known_data_source(uid: str, shown: Json) -> None:
    assert shown["type"] in TYPES
    assert shown["title"]
    assert shown["description"].endswith(".")
    assert shown["type"] in WITHOUT_UNIT or shown["fieldConfig"]["defaults"]["unit"]
    source = provisioned()[shown["datasource"]["uid"]]
    assert shown["datasource"]["type"] == source["type"]
    assert [target["refId"] for target in shown["targets"]] == list("ABCDEFGH"[: len(shown["targets"])])
    assert all(target["datasource"] == shown["datasource"] for target in shown["targets"])


def test_links_point_to_existing_dashboards() -> None:
    texts = [json.dumps(page) for page in PAGES.values()]
    texts += [path.read_text() for path in (FOLDER / "provisioning").rglob("*.yml")]
    linked = {uid for text in texts for uid in re.findall(r"/d/([\w-]+)", text)}
    assert linked == set(PAGES) == {"chat-overview", "chat-groq", "chat-workers", "chat-chats"}
    for uid, page in PAGES.items():
        assert {link["url"] for link in page["links"]} == {f"/d/{other}" for other in PAGES if other != uid}


def test_exemplars_link_to_the_trace_and_the_row() -> None:
    """A destination's name is the exemplar's label. Grafana ignores other names without an error."""
    destinations = provisioned()["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    assert [destination["name"] for destination in destinations] == ["trace_id", "chat_id"]
    assert [destination.get("datasourceUid") for destination in destinations] == ["jaeger", None]
    assert destinations[1]["url"].endswith("&$${__url_time_range}")  # the row may be older than the default range
    for title in ("Time to first token", "Time per output token"):
        assert any(target["exemplar"] for target in panel("chat-overview", title)["targets"])


def test_data_sources_contain_no_password() -> None:
    assert provisioned()["postgres"]["secureJsonData"] == {"password": "$CHAT_READER_PASSWORD"}


def test_every_outcome_and_result_has_a_colour() -> None:
    assert set(colours(panel("chat-overview", "Requests by outcome"))) == set(Outcome)
    assert set(colours(panel("chat-groq", "Attempts by result"))) == set(ATTEMPT_RESULTS)
    (listed,) = [each for each in variables(PAGES["chat-chats"]) if each["name"] == "outcome"]
    assert set(listed["query"].split(",")) == set(Outcome) - WITHOUT_ROW


def test_every_outcome_except_completed_has_one_cause() -> None:
    targets = panel("chat-overview", "Share of requests by cause")["targets"]
    found = [name for target in targets for name in re.findall(r'outcome=~"([^"]*)"', target["expr"])[0].split("|")]
    assert sorted([*found, "completed"]) == sorted(Outcome)


def test_overview_and_rules_count_the_same_outcomes_as_failures() -> None:
    (target,) = panel("chat-overview", "Availability")["targets"]
    bad = set(re.findall(r'outcome=~"([^"]*)"', target["expr"])[0].split("|"))
    assert bad == {
        "upstream_error",
        "upstream_timeout",
        "upstream_rate_limited",
        "rejected_overload",
        "rejected_unavailable",
        "persistence_failed",
        "internal_error",
    }
    rules = (PROJECT / "deploy" / "prometheus" / "rules" / "slo.yml").read_text()
    assert bad in [set(found.split("|")) for found in re.findall(r'outcome=~"([^"]*)"', rules)]

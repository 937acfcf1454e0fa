"""The way from an alert over its section in the runbook to panels and queries that exist."""

import json
import re
from collections import defaultdict
from pathlib import Path

import pytest

from app.core.outcomes import WITHOUT_ROW
from tests.deploy.grafana import dashboards, expressions, panels
from tests.deploy.test_prometheus import BAD
from tests.support.database import query
from tests.support.processes import PROJECT
from tests.support.prometheus import RUNBOOK, Rule, promtool, rules, runbook_blocks
from tests.support.shared import SharedResources

ALERTS = [rule for rule in rules() if rule.alert]
NAMES = {rule.alert for rule in ALERTS}
PAGES = {
    "Overview": "chat-overview",
    "Groq dashboard": "chat-groq",
    "Workers dashboard": "chat-workers",
    "Chats dashboard": "chat-chats",
}
PANELS = {(page["uid"], panel["title"]): panel for page in dashboards() for panel in panels(page)}
_ITALIC = re.compile(r"\*([^*]+)\*")
_NAMED = re.compile(rf"((?:\*[^*]+\*(?:, | and )?)+) on the ({'|'.join(PAGES)})")


def sections() -> dict[str, str]:
    """{anchor: text on one line, without bold words}"""
    parts = re.split(r"^## (.+)$", RUNBOOK.read_text(), flags=re.MULTILINE)[1:]
    texts = (" ".join(text.replace("**", "").split()) for text in parts[1::2])
    return dict(zip((title.lower() for title in parts[::2]), texts, strict=True))


def named_panels(section: str) -> set[tuple[str, str]]:
    """The dashboard and title of each panel: `*Title*, *Title* and *Title* on the Groq dashboard`."""
    return {(PAGES[page], title) for titles, page in _NAMED.findall(section) for title in _ITALIC.findall(titles)}


def test_sections_and_overview_match_the_alerts() -> None:
    text = RUNBOOK.read_text()
    sections = re.findall(r"^## (.+)$", text, re.MULTILINE)
    lines = re.findall(r"^\| \[(\w+)\]\(#(\w+)\) \| ([\w, ]+) \|", text, re.MULTILINE)
    severities: dict[str, set[str]] = defaultdict(set)
    for rule in ALERTS:
        severities[rule.alert].add(rule.labels["severity"])
    assert sorted(sections) == sorted(NAMES)
    assert [name for name, _, _ in lines] == sections
    assert all(anchor == name.lower() for name, anchor, _ in lines)
    assert {name: set(severity.split(", ")) for name, _, severity in lines} == severities


def test_links_point_to_sections() -> None:
    anchors = set(re.findall(r"\]\(#(\w+)\)", RUNBOOK.read_text()))
    assert anchors == {name.lower() for name in NAMES}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: f"{rule.alert}-{rule.labels['severity']}")
def test_alert_leads_to_a_section_that_names_panels_of_its_dashboard(rule: Rule) -> None:
    section = sections()[rule.annotations["runbook_url"].rpartition("#")[2]]
    named = named_panels(section)
    assert rule.annotations["dashboard"] in {uid for uid, _ in named}
    assert [panel for panel in named if panel not in PANELS or not PANELS[panel]["targets"]] == []


def test_firing_alerts_link_to_their_dashboard_and_section() -> None:
    """A column has the name of its alert as value, the target as text, and a link with this text."""
    shown = PANELS["chat-overview", "Firing alerts"]["fieldConfig"]["overrides"]
    columns = {each["matcher"]["options"]: {one["id"]: one["value"] for one in each["properties"]} for each in shown}
    urls = {"dashboard": "/d/${__value.text}?${__url_time_range}", "runbook": "${runbook}#${__value.text}"}
    for name, url in urls.items():
        [mapping], [link] = columns[name]["mappings"], columns[name]["links"]
        texts = {alert: to["text"] for alert, to in mapping["options"].items()}
        assert texts == {
            rule.alert: rule.annotations["dashboard"] if name == "dashboard" else rule.alert.lower() for rule in ALERTS
        }
        assert link["url"] == url


@pytest.mark.parametrize("anchor", sections())
def test_words_in_italics_are_panels_of_a_named_dashboard(anchor: str) -> None:
    section = re.sub(r"`[^`]*`", "", sections()[anchor])
    assert set(_ITALIC.findall(section)) == {title for _, title in named_panels(section)}


def test_log_events_exist() -> None:
    code = "".join(path.read_text() for path in (PROJECT / "app").rglob("*.py"))
    named = set(re.findall(r"`(\w+\.(?!yml)\w+)`", RUNBOOK.read_text()))
    assert "chat.finished" in named
    assert named - set(re.findall(r'"(\w+\.\w+)"', code)) == set()


def test_availability_queries_list_the_outcomes_that_count() -> None:
    section = sections()["chatavailabilityburn"]
    [pattern] = re.findall(r'outcome=~"([^"]+)"', section)
    [listed] = re.findall(r"outcome IN \(([^)]+)\)", section)
    assert set(pattern.split("|")) == BAD
    assert set(re.findall(r"'(\w+)'", listed)) == BAD - WITHOUT_ROW
    assert "outcome LIKE 'upstream" not in RUNBOOK.read_text()  # upstream_rejected does not count


@pytest.mark.needs("promtool")
def test_promql_queries_of_the_runbook_and_its_panels_are_valid(tmp_path: Path) -> None:
    named = set().union(*(named_panels(section) for section in sections().values()))
    lines = [line for block in runbook_blocks("promql") for line in block.splitlines()]
    lines += [each.expr for each in expressions() if (each.dashboard, each.panel) in named]
    assert len(lines) > 50
    file = tmp_path / "runbook.yml"
    recordings = [{"record": f"runbook:{number}", "expr": line} for number, line in enumerate(lines)]
    file.write_text(json.dumps({"groups": [{"name": "runbook", "rules": recordings}]}))
    promtool("check", "rules", file)


def test_sql_queries_run_on_postgresql(shared: SharedResources, tmp_path: Path) -> None:
    url = shared.migrated_database("postgres", tmp_path)
    blocks = runbook_blocks("sql")
    assert blocks
    for sql in blocks:
        query(url, sql)

"""The runbook has a section for each alert, and its queries are valid."""

import json
import re
from collections import defaultdict
from pathlib import Path

import pytest

from tests.support.database import query
from tests.support.prometheus import RUNBOOK, promtool, rules, runbook_blocks
from tests.support.shared import SharedResources

ALERTS = [rule for rule in rules() if rule.alert]
NAMES = {rule.alert for rule in ALERTS}


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


@pytest.mark.needs("promtool")
def test_promql_queries_are_valid(tmp_path: Path) -> None:
    lines = [line for block in runbook_blocks("promql") for line in block.splitlines()]
    assert lines
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

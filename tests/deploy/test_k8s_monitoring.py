"""Scraping of the pods, the PrometheusRule, and the query in the README."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.k8s import FOLDER, container, read
from tests.support.prometheus import FOLDER as PROMETHEUS
from tests.support.prometheus import parse, promtool


def test_prometheus_rule_has_all_groups() -> None:
    done = subprocess.run([sys.executable, FOLDER / "rules.py"], capture_output=True, text=True, check=True)
    groups = [group for path in sorted(PROMETHEUS.glob("rules/*.yml")) for group in parse(path)["groups"]]
    assert len(groups) > 6
    assert json.loads(done.stdout)["spec"]["groups"] == groups


def test_pods_have_the_labels_that_rules_use() -> None:
    """Rules select job="chat" and aggregate by host."""
    [monitor] = read(FOLDER / "monitoring" / "podmonitor.yaml")
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] in {port["name"] for port in container("StatefulSet")["ports"]}
    labels = {each["targetLabel"]: each.get("replacement") or each["sourceLabels"] for each in endpoint["relabelings"]}
    assert labels == {"job": "chat", "host": ["__meta_kubernetes_pod_name"]}


@pytest.mark.needs("promtool")
def test_readme_query_finds_removed_pods_with_rows(tmp_path: Path) -> None:
    """With a running pod, and removed pods with and without rows."""
    [query] = re.findall(r"```promql\n(.+)\n```", (FOLDER / "README.md").read_text())
    last = {"running": "9x60", "removed-empty": "9x5 0x5 _x50", "removed-with-rows": "0x5 7x5 _x50"}
    series = [
        {"series": f'chat_log_outbox_{rows}{{host="{host}"}}', "values": values if rows == "rows" else "1x5 0x5 _x50"}
        for host, values in last.items()
        for rows in ("rows", "rejected_rows")
    ]
    found = [{"labels": '{host="removed-with-rows"}', "value": 7}]
    queries = [{"expr": query, "eval_time": "55m", "exp_samples": found}]
    file = tmp_path / "readme.yml"
    file.write_text(json.dumps({"tests": [{"interval": "1m", "input_series": series, "promql_expr_test": queries}]}))
    promtool("test", "rules", file)

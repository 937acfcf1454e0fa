"""What Prometheus learns of the pods, and what it is asked about them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.k8s import FOLDER, container, read
from tests.support.prometheus import FOLDER as PROMETHEUS
from tests.support.prometheus import parse, promtool


def test_the_alerts_of_a_cluster_are_those_of_the_rules() -> None:
    done = subprocess.run([sys.executable, FOLDER / "rules.py"], capture_output=True, text=True, check=True)
    groups = [group for path in sorted(PROMETHEUS.glob("rules/*.yml")) for group in parse(path)["groups"]]
    assert len(groups) > 6
    assert json.loads(done.stdout)["spec"]["groups"] == groups


def test_pods_have_the_labels_that_the_rules_ask_by() -> None:
    """The rules say job="chat", and count by host."""
    [monitor] = read(FOLDER / "monitoring" / "podmonitor.yaml")
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] in {port["name"] for port in container("StatefulSet")["ports"]}
    given = {each["targetLabel"]: each.get("replacement") or each["sourceLabels"] for each in endpoint["relabelings"]}
    assert given == {"job": "chat", "host": ["__meta_kubernetes_pod_name"]}


@pytest.mark.needs("promtool")
def test_the_query_for_disks_left_behind_finds_those_with_rows_alone(tmp_path: Path) -> None:
    """Of a pod that runs, one that went with an empty disk, and one that did not."""
    [query] = re.findall(r"```promql\n(.+)\n```", (FOLDER / "README.md").read_text())
    last = {"runs": "9x60", "went-empty": "9x5 0x5 _x50", "went-with-rows": "0x5 7x5 _x50"}
    series = [
        {"series": f'chat_log_outbox_{rows}{{host="{host}"}}', "values": values if rows == "rows" else "1x5 0x5 _x50"}
        for host, values in last.items()
        for rows in ("rows", "rejected_rows")
    ]
    found = [{"labels": '{host="went-with-rows"}', "value": 7}]
    asked = [{"expr": query, "eval_time": "55m", "exp_samples": found}]
    file = tmp_path / "readme.yml"
    file.write_text(json.dumps({"tests": [{"interval": "1m", "input_series": series, "promql_expr_test": asked}]}))
    promtool("test", "rules", file)

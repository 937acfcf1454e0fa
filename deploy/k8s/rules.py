#!/usr/bin/env python3
"""Prints the rules of deploy/prometheus as one PrometheusRule, which is how the Prometheus Operator takes them.

Not a file of its own: it could only repeat the rules, or differ from them.
"""

import json
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

FOLDER = Path(__file__).parents[1] / "prometheus" / "rules"
LABELS = {"app.kubernetes.io/name": "groq-stream"}


def prometheus_rule(folder: Path = FOLDER) -> dict[str, Any]:
    """A rule file is a list of groups, and so is the resource: these are the groups of all files, unchanged."""
    files = [YAML(typ="safe", pure=True).load(path) for path in sorted(folder.glob("*.yml"))]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "groq-stream", "labels": LABELS},
        "spec": {"groups": [group for file in files for group in file["groups"]]},
    }


if __name__ == "__main__":
    json.dump(prometheus_rule(), sys.stdout, indent=2)  # Kubernetes reads JSON as well

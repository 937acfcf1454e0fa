#!/usr/bin/env python3
"""Prints the rules of deploy/prometheus as a PrometheusRule for the Prometheus Operator.

A generated resource, so that no second copy of the rules can differ from the first.
"""

import json
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

FOLDER = Path(__file__).parents[1] / "prometheus" / "rules"
LABELS = {"app.kubernetes.io/name": "groq-stream"}


def prometheus_rule(folder: Path = FOLDER) -> dict[str, Any]:
    """The resource with the unchanged groups of all rule files."""
    files = [YAML(typ="safe", pure=True).load(path) for path in sorted(folder.glob("*.yml"))]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "groq-stream", "labels": LABELS},
        "spec": {"groups": [group for file in files for group in file["groups"]]},
    }


if __name__ == "__main__":
    json.dump(prometheus_rule(), sys.stdout, indent=2)  # kubectl accepts JSON

"""Firing alerts, with links to the dashboard and the section of the runbook that their rules name."""

from pathlib import Path

from builders.dashboard import hidden_variable
from builders.panel import link, override, stat, table, thresholds
from builders.query import Json, promql_now
from ruamel.yaml import YAML

RULES = Path(__file__).parents[2] / "prometheus" / "rules"
RUNBOOK = hidden_variable("runbook", "chat:runbook:info", "url")


def dashboards() -> dict[str, str]:
    """The dashboard of each alert."""
    files = [YAML(typ="safe", pure=True).load(path) for path in sorted(RULES.glob("*.yml"))]
    found = [rule for file in files for group in file["groups"] for rule in group["rules"] if "alert" in rule]
    return {rule["alert"]: rule["annotations"]["dashboard"] for rule in found}


FIRING = f'ALERTS{{alertstate="firing", severity!="none", alertname=~"{"|".join(dashboards())}"}}'
"""Of this project's rules: a Prometheus may have others."""


def _column(name: str, texts: dict[str, str], url: str) -> Json:
    """A column that has a text for each alert, and a link with this text."""
    options = {alert: {"text": text, "index": index} for index, (alert, text) in enumerate(texts.items())}
    return override(name, mappings=[{"type": "value", "options": options}], links=[link(f"Open the {name}", url)])


def _copied(expr: str, *labels: str) -> str:
    """PromQL that copies the alert's name into further labels."""
    for label in labels:
        expr = f'label_replace({expr}, "{label}", "$1", "alertname", "(.+)")'
    return expr


def firing() -> Json:
    known = dashboards()
    hidden = ("Time", "Value", "__name__", "alertstate", "sloth_severity", "sloth_service", "sloth_id")
    order = {name: place for place, name in enumerate(("severity", "alertname", "dashboard", "runbook"))}
    return table(
        "Firing alerts",
        """Severity page: act now; ticket: act on the next working day. The links lead to the alert's dashboard and to
        its section of the runbook.""",
        promql_now(_copied(FIRING, "dashboard", "runbook"), table=True),
        transformations=[
            {"id": "organize", "options": {"excludeByName": dict.fromkeys(hidden, True), "indexByName": order}}
        ],
        columns=[
            override("severity", custom__width=80),
            _column("dashboard", known, "/d/${__value.text}?${__url_time_range}"),
            _column("runbook", {name: name.lower() for name in known}, "${runbook}#${__value.text}"),
        ],
        may_be_empty="No alerts are firing.",
    )


def number() -> Json:
    return stat(
        "Alerts",
        "Number of firing alerts, listed below.",
        promql_now(f"count({FIRING}) or vector(0)"),
        unit="short",
        levels=thresholds("green", (1, "red")),
        width=3,
    )

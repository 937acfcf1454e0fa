"""Dashboards, and their queries with Grafana's variables and macros expanded."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from tests.support.processes import PROJECT

FOLDER = PROJECT / "deploy" / "grafana"
Json = dict[str, Any]

# Values of Grafana's variables for a Prometheus that has scraped every second for 30 s.
_PROMQL = {
    "$__rate_interval": "10s",
    "$__interval": "1s",
    "$__range": "1m",
    "$model": ".*",
    "$host": ".*",
}
_MACRO = re.compile(r"\$__(\w+)\(([^)]*)\)")
_VARIABLE = re.compile(r"\$\{(\w+):sqlstring\}")


class Expression(NamedTuple):
    """A PromQL query. `may_be_empty` is the panel's text for no data; empty if the query must return data."""

    dashboard: str
    panel: str
    expr: str
    may_be_empty: str


class Statement(NamedTuple):
    """An SQL query, with Grafana's macros and variables not expanded."""

    dashboard: str
    panel: str
    sql: str


def load_yaml(path: Path) -> Any:
    return YAML(typ="safe").load(path)


def dashboards() -> list[Json]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted((FOLDER / "dashboards").glob("*.json"))]


def panels(dashboard: Json) -> list[Json]:
    """The panels without rows, which are headings."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def variables(dashboard: Json) -> list[Json]:
    listed: list[Json] = dashboard["templating"]["list"]
    return listed


def expressions() -> list[Expression]:
    """Every PromQL query, with variables expanded."""
    return [
        Expression(dashboard, panel, _promql(expr), may_be_empty)
        for dashboard, panel, expr, may_be_empty in _expressions()
    ]


def statements() -> list[Statement]:
    """Every SQL query."""
    found = []
    for dashboard in dashboards():
        for panel in panels(dashboard):
            sqls = [target["rawSql"] for target in panel["targets"] if "rawSql" in target]
            found += [Statement(dashboard["uid"], panel["title"], sql) for sql in sqls]
        for variable in variables(dashboard):
            if variable.get("datasource", {}).get("uid") == "postgres":
                found.append(Statement(dashboard["uid"], f"${variable['name']}", variable["query"]))
    return found


def as_sent(sql: str, start: datetime, end: datetime, **chosen: str | list[str]) -> str:
    """The SQL that Grafana sends for a time range and the selected values of variables."""
    times = {"timeFrom": f"'{start:%Y-%m-%dT%H:%M:%SZ}'", "timeTo": f"'{end:%Y-%m-%dT%H:%M:%SZ}'"}

    def macro(match: re.Match[str]) -> str:
        name, arguments = match[1], [argument.strip() for argument in match[2].split(",")]
        if name == "timeFilter":
            return f"{arguments[0]} BETWEEN {times['timeFrom']} AND {times['timeTo']}"
        if name == "timeGroupAlias":
            seconds = int(arguments[1].strip("'").removesuffix("s"))
            return f'floor(extract(epoch from {arguments[0]})/{seconds})*{seconds} AS "time"'
        return times[name]

    def variable(match: re.Match[str]) -> str:
        values = chosen[match[1]]
        quoted = ["'" + value.replace("'", "''") + "'" for value in ([values] if isinstance(values, str) else values)]
        return ",".join(quoted)

    return _MACRO.sub(macro, _VARIABLE.sub(variable, sql.replace("$__interval", "10s")))


def _expressions() -> Iterator[Expression]:
    for dashboard in dashboards():
        for panel in panels(dashboard):
            may_be_empty = panel["fieldConfig"]["defaults"].get("noValue", "")
            for target in panel["targets"]:
                if "expr" in target:
                    yield Expression(dashboard["uid"], panel["title"], target["expr"], may_be_empty)
        for variable in variables(dashboard):
            if variable.get("datasource", {}).get("uid") == "prometheus":
                found = re.fullmatch(r"label_values\(([\w:]+), (\w+)\)", variable["query"]["query"])
                assert found, variable["query"]
                yield Expression(dashboard["uid"], f"${variable['name']}", f"group by ({found[2]}) ({found[1]})", "")


def _promql(expr: str) -> str:
    for name, value in _PROMQL.items():
        expr = expr.replace(name, value)
    assert not re.search(r"\$[a-z_{]", expr), expr  # `$1` is label_replace's
    return expr

"""The rules of Prometheus, and a server that evaluates them."""

import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
from ruamel.yaml import YAML

from tests.support.processes import PROJECT
from tests.support.tools import tool
from tests.support.waiting import wait_until

FOLDER = PROJECT / "deploy" / "prometheus"
RUNBOOK = PROJECT / "deploy" / "runbook.md"
SETTINGS = FOLDER / "prometheus.yml"
_ADDRESS = re.compile(r'"Listening on".* address=(127\.0\.0\.1:\d+)')
_START_S = 30

# Parts of an expression that look like the name of a metric.
_NO_NAMES = re.compile(
    r'"[^"]*"|{[^}]*}|\[[^]]*\]|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)|\b(?:and|or|unless|offset)\b'
)
_NAME = re.compile(r"(?<![\w:])[a-zA-Z_:][\w:]*\b(?!\s*\()")
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*){([^}]*)}")
_SUBQUERY = re.compile(r"\[\w+:\w+\]")
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A recording rule has a `record`, an alert has an `alert`."""

    expr: str
    record: str = ""
    alert: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)


def parse(file: Path) -> Any:
    """The content of a YAML file."""
    return YAML(typ="safe", pure=True).load(file)


@cache
def rules() -> Sequence[Rule]:
    """All rules, of all files."""
    known = Rule.__dataclass_fields__
    return [
        Rule(**{name: value for name, value in rule.items() if name in known})
        for file in sorted(FOLDER.glob("rules/*.yml"))
        for group in parse(file)["groups"]
        for rule in group["rules"]
    ]


def metric_names(expr: str) -> set[str]:
    """The metrics in an expression."""
    return set(_NAME.findall(_NO_NAMES.sub(" ", expr)))


def matchers(expr: str) -> Iterator[tuple[str, str, str]]:
    """Each metric, label and value (or pattern) of an expression's selectors."""
    for metric, inside in _SELECTOR.findall(expr):
        for label, pattern in _MATCHER.findall(inside):
            yield metric, label, pattern


def promtool(*arguments: str | Path) -> None:
    """Runs promtool; fails with its output."""
    done = subprocess.run([tool("promtool"), *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


class Prometheus:
    """A running server."""

    def __init__(self, url: str, http: httpx2.Client) -> None:
        self.url = url
        self._http = http

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The current samples, each with its labels (`metric`) and `value` (a time, and the value as text)."""
        response = self._http.get(f"{self.url}/api/v1/query", params={"query": expr})
        response.raise_for_status()
        result: list[dict[str, Any]] = response.json()["data"]["result"]
        return result


@contextmanager
def prometheus(folder: Path, targets: Sequence[str]) -> Iterator[Prometheus]:
    """A server that scrapes the targets (`host:port`) and evaluates the rules once a second. It writes to `folder`.

    Rules that take samples from days, one a minute, take them from one minute, one a second.
    """
    config, output = folder / "prometheus.yml", folder / "prometheus.log"
    config.write_text(json.dumps(_config(targets, _fast_rules(folder))))
    command: list[str | Path] = [
        tool("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:0",
        "--enable-feature=exemplar-storage",
    ]
    with output.open("w") as log, subprocess.Popen(command, cwd=folder, stdout=log, stderr=log) as process:
        try:
            with httpx2.Client(trust_env=False) as http:
                yield Prometheus(_wait_until_ready(process, output, http), http)
        finally:
            process.terminate()
            try:
                process.wait(timeout=_START_S)
            except subprocess.TimeoutExpired:
                process.kill()
            print(output.read_text())


def _config(targets: Sequence[str], rule_files: Iterable[Path]) -> dict[str, Any]:
    chat = next(job for job in parse(SETTINGS)["scrape_configs"] if job["job_name"] == "chat")
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(file) for file in rule_files],
        "scrape_configs": [
            {
                "job_name": "chat",
                "static_configs": [{"targets": list(targets)}],
                "relabel_configs": chat["relabel_configs"],
            }
        ],
    }


def _fast_rules(folder: Path) -> list[Path]:
    """Copies of the rules with short intervals."""
    copies = []
    for file in sorted(FOLDER.glob("rules/*.yml")):
        copies.append(folder / f"rules-{file.name}")
        copies[-1].write_text(_SUBQUERY.sub("[1m:1s]", file.read_text()).replace("interval: 1m", "interval: 1s"))
    return copies


def _wait_until_ready(process: subprocess.Popen[bytes], output: Path, http: httpx2.Client) -> str:
    def url() -> str | None:
        assert process.poll() is None, f"Prometheus did not start:\n{output.read_text()}"
        found = _ADDRESS.search(output.read_text())
        return f"http://{found[1]}" if found and http.get(f"http://{found[1]}/-/ready").is_success else None

    return wait_until(url, "Prometheus is not ready", _START_S) or ""


def runbook_blocks(language: str) -> list[str]:
    """The code blocks of the runbook in `promql` or `sql`."""
    return re.findall(rf"```{language}\n(.*?)\n```", RUNBOOK.read_text(), re.DOTALL)

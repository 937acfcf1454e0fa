"""Prometheus: what its rules say, and a server that runs them."""

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from ruamel.yaml import YAML

from tests.support.processes import PROJECT
from tests.support.tools import tool

FOLDER = PROJECT / "deploy" / "prometheus"
RUNBOOK = PROJECT / "deploy" / "runbook.md"
SETTINGS = FOLDER / "prometheus.yml"
_ADDRESS = re.compile(r'"Listening on".* address=(127\.0\.0\.1:\d+)')
_START_S = 30

# What may look like a metric's name in an expression, and is none.
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
    """What a YAML file says."""
    return YAML(typ="safe", pure=True).load(file)


def rules() -> list[Rule]:
    """All rules, of all files."""
    known = Rule.__dataclass_fields__
    return [
        Rule(**{name: value for name, value in rule.items() if name in known})
        for file in sorted(FOLDER.glob("rules/*.yml"))
        for group in parse(file)["groups"]
        for rule in group["rules"]
    ]


def metric_names(expr: str) -> set[str]:
    """The metrics that an expression asks for."""
    return set(_NAME.findall(_NO_NAMES.sub(" ", expr)))


def matchers(expr: str) -> Iterator[tuple[str, str, str]]:
    """Each metric, label and value (or pattern) that an expression selects by."""
    for metric, inside in _SELECTOR.findall(expr):
        for label, pattern in _MATCHER.findall(inside):
            yield metric, label, pattern


def promtool(*arguments: str | Path) -> None:
    """Fails with what promtool says."""
    done = subprocess.run([tool("promtool"), *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


class Prometheus:
    """A running server."""

    def __init__(self, url: str, http: httpx2.Client) -> None:
        self.url = url
        self._http = http

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The samples of now, each with its `metric` (the labels) and its `value` (when, and what as text)."""
        response = self._http.get(f"{self.url}/api/v1/query", params={"query": expr})
        response.raise_for_status()
        result: list[dict[str, Any]] = response.json()["data"]["result"]
        return result


@contextmanager
def prometheus(
    folder: Path,
    targets: Sequence[str],
    *,
    rules: bool = True,
    hurry: bool = True,
    show: Callable[[str], object] = print,
) -> Iterator[Prometheus]:
    """A server that asks the targets (`host:port`) each second, and has nothing but `folder` to write to.

    With `rules`, it runs the real ones, each second too, and looks a minute back where they look back for days: those
    take their samples from whole minutes, of which a test has none. Without `hurry`, all is as in production.
    """
    config = folder / "prometheus.yml"
    every = {"scrape_interval": "1s", "evaluation_interval": "1s"} if hurry else parse(SETTINGS)["global"]
    shipped = _in_a_hurry(folder) if hurry else sorted(FOLDER.glob("rules/*.yml"))
    config.write_text(json.dumps(_config(targets, every, shipped if rules else [])))
    command: list[str | Path] = [
        tool("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:0",
        "--enable-feature=exemplar-storage",
    ]
    output = folder / "prometheus.log"
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
            show(output.read_text())


def _config(targets: Sequence[str], every: dict[str, str], rule_files: Iterable[Path]) -> dict[str, Any]:
    chat = next(job for job in parse(SETTINGS)["scrape_configs"] if job["job_name"] == "chat")
    return {
        "global": every,
        "rule_files": [str(file) for file in rule_files],
        "scrape_configs": [
            {
                "job_name": "chat",
                "static_configs": [{"targets": list(targets)}],
                "relabel_configs": chat["relabel_configs"],
            }
        ],
    }


def _in_a_hurry(folder: Path) -> list[Path]:
    """Copies of the rules."""
    copies = [folder / f"rules-{file.name}" for file in sorted(FOLDER.glob("rules/*.yml"))]
    for copy in copies:
        text = (FOLDER / "rules" / copy.name.removeprefix("rules-")).read_text()
        copy.write_text(_SUBQUERY.sub("[1m:1s]", text).replace("interval: 1m", "interval: 1s"))
    return copies


def _wait_until_ready(process: subprocess.Popen[bytes], output: Path, http: httpx2.Client) -> str:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        found = _ADDRESS.search(output.read_text())
        if found and http.get(f"http://{found[1]}/-/ready").is_success:
            return f"http://{found[1]}"
        time.sleep(0.05)
    raise AssertionError(f"Prometheus did not start:\n{output.read_text()}")


def runbook_blocks(language: str) -> list[str]:
    """What people are told to run, in `promql` or `sql`."""
    return re.findall(rf"```{language}\n(.*?)\n```", RUNBOOK.read_text(), re.DOTALL)

"""The tables of docs/observability.md are compared with the registry, a trace and a line."""

import ast
import re

from prometheus_client import CollectorRegistry

from app.observability.metrics import Metrics
from tests.observability.chat_trace import spans_of
from tests.observability.conftest import Observed
from tests.observability.harness import Harness
from tests.support.processes import PROJECT
from tests.support.service import HELLO, SimulatedGroq

TEXT = (PROJECT / "docs" / "observability.md").read_text()
LIBRARY = ("process_", "python_")
LEVELS = ("info", "warning", "error", "critical", "exception")
OF_OUTCOMES = {"chat.finished", "chat.refused"}


def table(first_column: str) -> list[list[str]]:
    """The cells of the table whose first column has that name."""
    rows = re.search(rf"^\| {first_column} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    assert rows, f"no table of {first_column}"
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[1].splitlines()]


def first_cells(first_column: str) -> list[str]:
    return [cells[0].strip("`") for cells in table(first_column)]


def test_documented_metrics_are_those_of_the_registry() -> None:
    documented = [(name.strip("`"), kind, re.findall(r"`(\w+)`", labels)) for name, kind, labels, _ in table("metric")]
    registry = Metrics(models=["m"], info={"version": "1", "environment": "e"}, workers=1).registry
    assert {name: (kind, labels) for name, kind, labels in documented} == of_registry(registry)


def of_registry(registry: CollectorRegistry) -> dict[str, tuple[str, list[str]]]:
    """Names, types and labels of the service's own metrics."""
    found = {}
    for instrument in registry._collector_to_names:
        for family in instrument.describe() if hasattr(instrument, "describe") else ():
            if family.name.startswith(LIBRARY):
                continue
            suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
            labels = list(getattr(instrument, "_labelnames", ()))
            if family.type == "info":
                (labels,) = [sorted(sample.labels) for each in instrument.collect() for sample in each.samples]
            found[family.name + suffix] = (family.type, labels)
    return found


def test_documented_attributes_are_those_of_a_span(observed: Observed, groq: SimulatedGroq, harness: Harness) -> None:
    """Over a chat that asks for everything, one that fails, and one with a key."""
    asked = {"model": "openai/gpt-oss-120b", "temperature": 1, "top_p": 1, "seed": 1, "max_tokens": 60}
    completed = observed.chat(HELLO | asked)
    groq.fail({"after_tokens": 5, "ending": "truncate"})
    broken = observed.chat()
    found = {name for reply in (completed, broken) for name in spans_of(observed, reply.id)["chat"][0].attributes}
    harness.chat(client="team-a")
    found |= set(harness.spans["chat m"].attributes or {})
    assert set(first_cells("attribute")) == found


def test_documented_fields_are_those_of_a_line(observed: Observed) -> None:
    line = observed.finished_line(observed.chat().id)
    everywhere = re.search(r"Every line has (.*?) if it", TEXT, re.DOTALL)
    assert everywhere
    of_every_line = set(re.findall(r"`([\w.]+)`", everywhere[1]))
    assert set(first_cells("field")) | of_every_line == set(line)
    assert not set(first_cells("field")) & of_every_line


def test_documented_events_are_those_of_the_code() -> None:
    """Each of them is made to occur in test_traces.py and test_workers.py."""
    from app.observability import conventions as names  # noqa: PLC0415

    listed = re.search(r"Its events, .*?: (.*?)\.\n", TEXT, re.DOTALL)
    assert listed
    outside_brackets = re.sub(r"\([^)]*\)", "", listed[1])
    events = (
        names.FIRST_TOKEN,
        names.RETRY,
        names.STALL,
        names.CLIENT_DISCONNECTED,
        names.DRAINING,
        *names.STORED.values(),
    )
    assert re.findall(r"`(\w+)`", outside_brackets) == list(events)


def test_documented_log_events_are_those_of_the_code() -> None:
    """With their levels. How a chat ends has a level for each outcome, in a table of its own."""
    by_method = {"exception": "error"}
    written: dict[str, str] = {}
    for file in (PROJECT / "app").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                event = getattr(node.args[0], "value", None)
                if isinstance(event, str) and node.func.attr in LEVELS and re.fullmatch(r"\w+\.\w+", event):
                    written[event] = by_method.get(node.func.attr, node.func.attr)
    listed = re.findall(r"^- `(\w+\.\w+)`", TEXT, re.MULTILINE)
    documented = {
        name: level
        for events, levels, _ in table("event")
        for name, level in zip(re.findall(r"`([\w.]+)`", events), levels.split(", "), strict=True)
    }
    assert documented == {event: level for event, level in written.items() if event not in listed}
    assert set(listed) <= set(written) | OF_OUTCOMES

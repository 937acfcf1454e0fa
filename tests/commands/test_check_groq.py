"""`python -m app check-groq` against the simulator, which scripts differences."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response

from app.commands.check_groq.checks import CHECKS
from app.commands.check_groq.requests import Replies
from app.core.models import LAST_KNOWN_PRICES
from app.simulator.models import MODELS
from tests.support.processes import PROJECT, run
from tests.support.recording import recording
from tests.support.service import SimulatedGroq

NAMES = [each.name for each in CHECKS]
OF_CHATS = {
    "events",
    "opening chunk",
    "reasoning of gpt-oss",
    "final chunk",
    "include_usage",
    "usage",
    "id",
    "chat.completion",
    "structured outputs",
}
OF_MODELS = {*LAST_KNOWN_PRICES, "retired models", "GET /models", "sizes of models"}
DEARER = {"prompt": "0.0000002", "completion": "0.0000006", "input_cache_read": "0"}


def check(url: str, folder: Path) -> tuple[int, str]:
    return run(["app", "check-groq"], cwd=folder, env={"GROQ_API_KEY": "any", "GROQ_BASE_URL": url})


def differing(output: str) -> set[str]:
    return {name.strip() for name in re.findall(r"^DIFFERS  (.{20})", output, re.MULTILINE)}


def catalogue(changed: str, change: dict[str, Any] | None) -> str:
    """The simulator's catalogue with one entry changed, added or removed."""
    entries = {name: model.entry() for name, model in MODELS.items()}
    entries[changed] = entries.get(changed, entries["groq/compound"]) | {"id": changed} | (change or {})
    if change is None:
        del entries[changed]
    return json.dumps({"object": "list", "data": list(entries.values())})


def test_simulator_passes_every_check(groq: SimulatedGroq, tmp_path: Path) -> None:
    before = groq.seen()
    code, output = check(groq.url, tmp_path)
    assert (code, differing(output)) == (0, set()), output
    assert f"{len(NAMES)} agree, 0 differ" in output
    after = groq.seen()
    assert after["requests"] - before["requests"] == 4
    assert after["model_lists"] - before["model_lists"] == 1, "and one with a wrong key"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("fault", "names", "found"),
    [
        ({"ending": "no_done"}, {"events"}, "the last event is {"),
        ({"content_type": "text/plain"}, {"events"}, "content-type: text/plain"),
        ({"patch": {"x_groq.usage": []}}, {"final chunk"}, '"usage": []'),
        ({"patch": {"usage.prompt_tokens": 3.0}}, {"usage", "final chunk"}, '"prompt_tokens": 3.0'),
        ({"patch": {"choices.0.message.content": "Yes."}}, {"structured outputs"}, "it cannot be read (JSONDecode"),
        ({"patch_every": {"choices.0.delta.a": 1}}, {"opening chunk", "reasoning of gpt-oss", "final chunk"}, '"a": 1'),
        ({"reasoning_words": 0}, {"reasoning of gpt-oss", "usage", "chat.completion"}, "the deltas have: ; content;"),
        ({"rate_limit_headers": {"x-ratelimit-reset-tokens": "soon"}}, {"x-ratelimit-…"}, "reset-tokens: soon"),
        ({"retry_after": "2"}, {"retry-after"}, "retry-after: 2 with 200"),
        ({"status": 503}, OF_CHATS, "no stream of events: 503: "),
        ({"endpoint": "models", "status": 404}, OF_MODELS, "404: "),
    ],
)
def test_difference_is_named_with_the_response(
    groq: SimulatedGroq, tmp_path: Path, fault: dict[str, Any], names: set[str], found: str
) -> None:
    groq.fail(fault)
    code, output = check(groq.url, tmp_path)
    assert (code, differing(output)) == (1, names), output
    assert found in output
    assert f"{len(NAMES) - len(names)} agree, {len(names)} differ" in output


@pytest.mark.parametrize(
    ("changed", "entry", "name", "found"),
    [
        ("openai/gpt-oss-20b", None, "openai/gpt-oss-20b", "it is not listed"),
        ("openai/gpt-oss-120b", {"pricing": DEARER}, "openai/gpt-oss-120b", "prompt 0.2, completion 0.6, input_cache"),
        ("openai/gpt-oss-120b", {"pricing": {}}, "openai/gpt-oss-120b", "it cannot be read (KeyError: 'prompt')"),
        ("llama-3.1-8b-instant", {}, "retired models", "this key is served llama-3.1-8b-instant"),
        ("groq/compound", {"created": "today"}, "GET /models", '"created": "today"'),
        ("groq/compound", {"pricing": {"prompt": 0.1}}, "GET /models", '"pricing": {"prompt": 0.1}'),
    ],
)
def test_difference_of_the_catalogue_is_named(
    groq: SimulatedGroq, tmp_path: Path, changed: str, entry: dict[str, Any] | None, name: str, found: str
) -> None:
    groq.fail({"endpoint": "models", "body": catalogue(changed, entry)})
    code, output = check(groq.url, tmp_path)
    assert (code, differing(output)) == (1, {name}), output
    assert found in output


@pytest.mark.parametrize(
    ("name", "events", "catalogue", "found"),
    [
        ("final chunk", "", [], "0 chunks have a finish_reason: []"),
        ("sizes of models", "", [{"id": "m", "context_window": 1}], '[{"id": "m", "context_window": 1}]'),
    ],
)
def test_difference_that_no_simulator_scripts_is_named(
    name: str, events: str, catalogue: list[dict[str, Any]], found: str
) -> None:
    stream, models = Response(200, text=events), Response(200, json={"data": catalogue})
    (check,) = [each for each in CHECKS if each.name == name]
    assert check.run(Replies(models, stream, stream, stream, stream, stream)) == found


def test_every_check_fails_against_another_server(tmp_path: Path) -> None:
    with recording() as other:
        other.body = b"[]"
        code, output = check(other.url, tmp_path)
    assert code == 1
    assert differing(output) == set(NAMES) - {"retry-after"}
    assert "Traceback" not in output


def test_missing_key_and_unreachable_groq_are_one_sentence(tmp_path: Path) -> None:
    code, output = run(["app", "check-groq"], cwd=tmp_path)
    assert (code, output.count("\n")) == (2, 1), output
    assert output.startswith("GROQ_API_KEY: set it")
    code, output = check("http://127.0.0.1:9/openai/v1", tmp_path)
    assert (code, output.count("\n")) == (1, 1), output
    assert output.startswith("http://127.0.0.1:9/openai/v1 does not answer")


ROW = re.compile(
    r"\| (\*\*.+\*\* .+) \| (202\d-[01]\d-[0-3]\d) \| [^|]+ \| (yes|no) \| \[`\S+`\]\(\.\./(\S+)\) `(\w+)` \|"
)


def test_document_lists_the_checks_and_existing_tests() -> None:
    document = (PROJECT / "docs" / "groq.md").read_text()
    rows = [ROW.fullmatch(line) for line in document.splitlines() if line.startswith("| **")]
    assert all(rows)
    checked = {row[1] for row in rows if row and row[3] == "yes"}
    assert checked == {f"**{each.name}** {each.assumption}" for each in CHECKS}
    for row in filter(None, rows):
        assert f"def {row[5]}(" in (PROJECT / row[4]).read_text(), row

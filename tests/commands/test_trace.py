"""`python -m app trace`."""

import json
from pathlib import Path

import httpx2
import pytest

from app.commands.trace import trace
from app.core.config import Settings
from tests.commands.client import FREE_PORT, chat
from tests.support.processes import program, run


def test_last_trace_is_drawn_and_others_by_id(tmp_path: Path, http: httpx2.Client) -> None:
    with program(["app"], cwd=tmp_path, env=FREE_PORT) as running:
        first, last = chat(http, running.url()), chat(http, running.url())
    code, output = run(["app", "trace"], cwd=tmp_path)
    assert code == 0
    head, _, *spans = output.splitlines()
    trace_id = last.headers["traceresponse"].split("-")[1]
    assert head == f"trace {trace_id}  chat {last.id}"
    drawn = [line.partition("│")[0].strip() for line in spans]
    chat_span = next(name for name in drawn if name.startswith("chat "))
    assert drawn == [
        "POST /api/v1/chat/stream",
        chat_span,
        "groq.attempt",
        "· first_token",
        "· committed",
        "chat_logs.commit",
    ]
    for wanted in (first.id, first.headers["traceresponse"].split("-")[1]):
        _, other = run(["app", "trace", wanted], cwd=tmp_path)
        assert other.startswith(f"trace {first.headers['traceresponse'].split('-')[1]}  chat {first.id}\n")


def test_missing_trace_is_explained(tmp_path: Path) -> None:
    code, output = run(["app", "trace"], cwd=tmp_path)
    assert (code, output.count("\n")) == (1, 1)
    assert "no traces in data/traces.jsonl" in output
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "traces.jsonl").write_bytes(b'null\n{"a": 1}\n\xff\xfe\n[]\n{"half a li')
    code, output = run(["app", "trace", "some-id"], cwd=tmp_path)
    assert (code, output.count("\n")) == (1, 1)
    assert "no trace of some-id" in output


def test_unreadable_file_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trace(Settings(_env_file=None, trace_file=tmp_path), wanted=None) == 1
    assert capsys.readouterr().err == f"cannot read traces from {tmp_path}: Is a directory\n"


def test_trace_cannot_control_the_terminal(tmp_path: Path) -> None:
    hostile = "\x1b[2J\x9b31m\r\n\u202e\u2028\ue000forged"
    ids = {"trace_id": "0x" + "a" * 32, "span_id": "0x" + "b" * 16}
    facts = {"chat.id": hostile, "chat.outcome": hostile, "error.type": hostile, "http.response.status_code": hostile}
    moments = {"start_time": "2026-11-22T10:00:00Z", "end_time": "2026-11-22T10:00:01Z"}
    event = {"name": hostile, "timestamp": "2026-11-22T10:00:00.5Z", "attributes": {"error.type": hostile}}
    span = {"name": hostile, "context": ids, "parent_id": None, "attributes": facts, "events": [event], "links": []}
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "traces.jsonl").write_text(json.dumps(span | moments) + "\n")
    code, output = run(["app", "trace"], cwd=tmp_path)
    assert code == 0
    lines = output.split("\n")[:-1]
    assert len(lines) == 4
    assert all(line.isprintable() for line in lines)
    code, output = run(["app", "trace", hostile], cwd=tmp_path)
    assert code == 0
    code, output = run(["app", "trace", hostile + "s"], cwd=tmp_path)
    assert code == 1
    assert output.removesuffix("\n").isprintable()

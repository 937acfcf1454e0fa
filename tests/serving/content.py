"""Chats with a marker in every text of request and answer, and all places where it could be stored."""

import asyncio
import json
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx2

from app.core.config import Settings
from tests.serving.apps import BUGGY_MODEL
from tests.support.database import query
from tests.support.postgres import Postgres
from tests.support.processes import run
from tests.support.recording import Recording, recording
from tests.support.service import DROP_IN, PATH, Reply
from tests.support.serving import Workers, serving
from tests.support.shared import SharedResources

MARKER = "sentinel-of-somebody"
FUNCTION = {"name": MARKER, "arguments": MARKER}
BODY: dict[str, Any] = {
    "model": "openai/gpt-oss-20b",
    "messages": [
        {"role": "system", "content": MARKER},
        {"role": "user", "content": [{"type": "text", "text": MARKER}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "call_1", "function": FUNCTION}]},
        {"role": "tool", "tool_call_id": "call_1", "content": MARKER},
    ],
    "tools": [{"type": "function", "function": {"name": MARKER}}],
    "tool_choice": {"type": "function", "function": {"name": MARKER}},
    "response_format": {"type": "json_schema", "json_schema": {"name": MARKER}},
    "stop": [MARKER],
    "user": MARKER,
    "safety_identifier": MARKER,
    "metadata": {MARKER: MARKER},
    "reasoning_effort": MARKER,
    MARKER: MARKER,
    "temperature": 0.5,
    "seed": 7,
}
DELTAS: list[dict[str, Any]] = [
    {"role": "assistant", "content": ""},
    {"reasoning": MARKER},
    {"content": MARKER},
    {"refusal": MARKER},
    {"tool_calls": [{"index": 0, "id": "call_2", "function": FUNCTION}]},
    {},
]
MESSAGE: dict[str, Any] = {name: value for delta in DELTAS for name, value in delta.items()}
COMPLETION = json.dumps({"id": "c", "choices": [{"message": MESSAGE, "finish_reason": "stop"}]}).encode()
PARAMS = {"temperature": 0.5, "seed": 7}
"""The parameters of the body that are not content."""
REFUSAL = {"message": f"cannot use '{MARKER}'", "code": "tool_use_failed", "failed_generation": MARKER}


def answer(model: str = "openai/gpt-oss-20b") -> bytes:
    """A stream with every kind of delta."""
    chunks = [
        {"id": "c", "model": model, "choices": [{"delta": delta, "finish_reason": None if delta else "stop"}]}
        for delta in DELTAS
    ]
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"


@dataclass(frozen=True)
class MarkedService:
    """A service with its provider and database. `store` is added to each request."""

    workers: Workers
    upstream: Recording
    postgres: Postgres | None
    folder: Path
    store: Mapping[str, bool]

    def chat(self, *, path: str = PATH) -> Reply:
        body = {**BODY, **self.store, **({} if path == PATH else {"stream": False})}
        return self.workers.chat(body, path=path)

    def chats(self) -> list[str]:
        """One chat for each way in which content returns from the provider; their ids. Each has a row."""
        self.upstream.body = answer()
        replies = [self.chat()]
        self.upstream.body = COMPLETION
        replies.append(self.chat(path=DROP_IN))
        assert [reply.status for reply in replies] == [200, 200]
        assert all(MARKER in reply.body.decode() for reply in replies)
        self.upstream.body = answer(BUGGY_MODEL)
        replies.append(self.chat())
        self.upstream.body = b'event: error\ndata: {"error": ' + json.dumps(REFUSAL).encode() + b"}\n\n"
        replies.append(self.chat())
        self.upstream.status, self.upstream.body = 400, json.dumps({"error": REFUSAL}).encode()
        replies.append(self.chat())
        self.upstream.status, self.upstream.body = 200, answer()
        return [reply.id for reply in replies]

    def database(self) -> str:
        """All bytes of SQLite's files, or a dump of PostgreSQL."""
        url = self.workers.database_url
        if self.postgres is None:
            path = Path(url.partition(":///")[2])
            return "".join(file.read_bytes().decode("latin-1") for file in path.parent.glob(f"{path.name}*"))
        command: list[str | Path] = [self.postgres.binaries / "pg_dump", url.replace("+asyncpg", "")]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    def outbox(self) -> str:
        """All bytes of its files."""
        return "".join(file.read_bytes().decode("latin-1") for file in (self.folder / "data" / "outbox").iterdir())

    def readable(self, ids: list[str]) -> dict[str, str]:
        """What the service and its commands return for these chats."""
        workers, env = self.workers, {"DATABASE_URL": self.workers.database_url}
        return {
            "the page": "".join(workers.http.get(f"{workers.url}/page/chats/{each}").text for each in ids),
            "stored chats": "".join(
                workers.http.get(f"{workers.url}{DROP_IN}{path}").text
                for path in ("?limit=100", *(f"/{each}{part}" for each in ids for part in ("", "/messages")))
            ),
            "the running chats": workers.http.get(f"http://127.0.0.1:{workers.metrics_base}/chats").text,
            "the metrics": workers.http.get(f"http://127.0.0.1:{workers.metrics_base}/metrics").text,
            "make chats": run(["app", "chats"], cwd=self.folder, env=env)[1],
            "its JSON": run(["app", "chats", "--json"], cwd=self.folder, env=env)[1],
        }

    def rows(self, ids: list[str]) -> dict[str, dict[str, Any]]:
        """All rows, once these chats have theirs: that of a failed chat is stored after its response."""
        for chat_id in ids:
            self.workers.row_in_time(chat_id)
        return {str(row["id"]): row for row in query(self.workers.database_url, "SELECT * FROM chat_logs")}


@contextmanager
def locked(url: str) -> Iterator[None]:
    """No other connection can write to the database."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.partition(":///")[2], isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")
        return
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(url.replace("+asyncpg", "")))
        runner.run(connection.execute("BEGIN; LOCK TABLE chat_logs"))
        try:
            yield
        finally:
            runner.run(connection.close())


@contextmanager
def marked_service(
    folder: Path,
    http: httpx2.Client,
    database: Settings,
    shared: SharedResources,
    *,
    setting: str,
    store: Mapping[str, bool],
) -> Iterator[MarkedService]:
    """`setting` is `CHAT_LOG_CONTENT`."""
    postgres: Postgres | None = None if database.embedded_database else shared.postgres()
    url = database.database_url.get_secret_value()
    with recording() as upstream:
        env = {
            "GROQ_API_KEY": "test",
            "GROQ_BASE_URL": upstream.url,
            "CHAT_LOG_CONTENT": setting,
            "COMMIT_TIMEOUT_S": "2" if database.embedded_database else "0.5",
            "TRACE_FILE": str(folder / "traces.jsonl"),
            "OPENAI_LOG": "debug",
        }
        app = "tests.serving.apps:with_bug_that_quotes_content()"
        with serving(folder, http, env, database_url=url, workers=1, app=app) as workers:
            yield MarkedService(workers, upstream, postgres, folder, store)

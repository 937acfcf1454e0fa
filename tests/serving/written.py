"""A service whose callers and whose Groq write one mark wherever a text can stand, and all places to look for it."""

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
from tests.serving.indiscreet import MODEL as BUGGY_MODEL
from tests.support.database import query
from tests.support.postgres import Postgres
from tests.support.processes import run
from tests.support.recording import Recording, recording
from tests.support.service import DROP_IN, PATH, Reply
from tests.support.serving import Workers, serving
from tests.support.shared import SharedResources

MARK = "sentinel-of-somebody"
FUNCTION = {"name": MARK, "arguments": MARK}
BODY: dict[str, Any] = {
    "model": "openai/gpt-oss-20b",
    "messages": [
        {"role": "system", "content": MARK},
        {"role": "user", "content": [{"type": "text", "text": MARK}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "call_1", "function": FUNCTION}]},
        {"role": "tool", "tool_call_id": "call_1", "content": MARK},
    ],
    "tools": [{"type": "function", "function": {"name": MARK}}],
    "tool_choice": {"type": "function", "function": {"name": MARK}},
    "response_format": {"type": "json_schema", "json_schema": {"name": MARK}},
    "stop": [MARK],
    "user": MARK,
    "metadata": {MARK: MARK},
    "reasoning_effort": MARK,
    MARK: MARK,
    "temperature": 0.5,
    "seed": 7,
}
DELTAS: list[dict[str, Any]] = [
    {"role": "assistant", "content": ""},
    {"reasoning": MARK},
    {"content": MARK},
    {"refusal": MARK},
    {"tool_calls": [{"index": 0, "id": "call_2", "function": FUNCTION}]},
    {},
]
MESSAGE: dict[str, Any] = {name: value for delta in DELTAS for name, value in delta.items()}
WHOLE = json.dumps({"id": "c", "choices": [{"message": MESSAGE, "finish_reason": "stop"}]}).encode()
PLAIN = {"temperature": 0.5, "seed": 7}
"""What of the body is plain facts."""
REFUSED = {"message": f"cannot use '{MARK}'", "code": "tool_use_failed", "failed_generation": MARK}


def answer(model: str = "openai/gpt-oss-20b") -> bytes:
    """All that a model can say."""
    chunks = [
        {"id": "c", "model": model, "choices": [{"delta": delta, "finish_reason": None if delta else "stop"}]}
        for delta in DELTAS
    ]
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Stage:
    """A service, the Groq behind it, and how its database is read in full. `store` is what its requests say."""

    workers: Workers
    upstream: Recording
    postgres: Postgres | None
    folder: Path
    store: Mapping[str, bool]

    def ask(self, *, path: str = PATH) -> Reply:
        body = {**BODY, **self.store, **({} if path == PATH else {"stream": False})}
        return self.workers.chat(body, path=path)

    def chats(self) -> list[str]:
        """In every way in which a text may come back; the ids of those that have rows."""
        self.upstream.body = answer()
        replies = [self.ask()]
        self.upstream.body = WHOLE
        replies.append(self.ask(path=DROP_IN))
        assert [reply.status for reply in replies] == [200, 200]
        assert all(MARK in reply.body.decode() for reply in replies)
        self.upstream.body = answer(BUGGY_MODEL)
        replies.append(self.ask())
        self.upstream.body = b'event: error\ndata: {"error": ' + json.dumps(REFUSED).encode() + b"}\n\n"
        replies.append(self.ask())
        self.upstream.status, self.upstream.body = 400, json.dumps({"error": REFUSED}).encode()
        replies.append(self.ask())
        self.upstream.status, self.upstream.body = 200, answer()
        return [reply.id for reply in replies]

    def database(self) -> str:
        """Every byte of it, or for PostgreSQL a dump."""
        url = self.workers.database_url
        if self.postgres is None:
            path = Path(url.partition(":///")[2])
            return "".join(file.read_bytes().decode("latin-1") for file in path.parent.glob(f"{path.name}*"))
        command: list[str | Path] = [self.postgres.binaries / "pg_dump", url.replace("+asyncpg", "")]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    def outbox(self) -> str:
        """All of its files, as they are on the disk."""
        return "".join(file.read_bytes().decode("latin-1") for file in (self.folder / "data" / "outbox").iterdir())

    def everything_else(self, ids: list[str]) -> dict[str, str]:
        """All that can be read of these chats while the service runs."""
        workers, env = self.workers, {"DATABASE_URL": self.workers.database_url}
        return {
            "the page": "".join(workers.http.get(f"{workers.url}/page/chats/{each}").text for each in ids),
            "the metrics": workers.http.get(f"http://127.0.0.1:{workers.metrics_base}/metrics").text,
            "make chats": run(["app", "chats"], cwd=self.folder, env=env)[1],
            "its JSON": run(["app", "chats", "--json"], cwd=self.folder, env=env)[1],
        }

    def rows(self) -> dict[str, dict[str, Any]]:
        return {str(row["id"]): row for row in query(self.workers.database_url, "SELECT * FROM chat_logs")}


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Nobody else can write meanwhile."""
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
def staged(
    folder: Path,
    http: httpx2.Client,
    database: Settings,
    shared: SharedResources,
    *,
    setting: str,
    store: Mapping[str, bool],
) -> Iterator[Stage]:
    """`setting` is `CHAT_LOG_CONTENT`."""
    postgres: Postgres | None = None if database.embedded_database else shared.postgres()
    url = database.database_url.get_secret_value()
    with recording() as upstream:
        env = {
            "GROQ_API_KEY": "test",
            "GROQ_BASE_URL": upstream.url,
            "CHAT_LOG_CONTENT": setting,
            "COMMIT_TIMEOUT_S": "0.5",
            "TRACE_FILE": str(folder / "traces.jsonl"),
            "OPENAI_LOG": "debug",
        }
        app = "tests.serving.indiscreet:create_app()"
        with serving(folder, http, env, database_url=url, workers=1, app=app) as workers:
            yield Stage(workers, upstream, postgres, folder, store)

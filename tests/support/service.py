"""The service as its clients see it, its database, and the simulator of its provider."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.support.database import query
from tests.support.processes import Program, program
from tests.support.scrape import scrape, total
from tests.support.waiting import wait_until

PATH = "/api/v1/chat/stream"
DROP_IN = "/v1/chat/completions"
HELLO = {"messages": [{"role": "user", "content": "Hello"}]}


def http_client(timeout_s: float = 30, **options: Any) -> httpx2.Client:
    """Without TLS: loading the system's certificates takes 30 ms."""
    return httpx2.Client(timeout=timeout_s, trust_env=False, verify=False, **options)


@dataclass(frozen=True)
class Reply:
    """A complete response."""

    status: int
    headers: httpx2.Headers
    body: bytes

    @property
    def id(self) -> str:
        return str(self.headers["x-request-id"])

    @property
    def json(self) -> Any:
        """The body of a response that was not streamed."""
        return json.loads(self.body)

    @property
    def events(self) -> list[str]:
        return [event for event in self.body.decode().split("\n\n") if event]

    @property
    def chunks(self) -> list[dict[str, Any]]:
        """The chunks, without `[DONE]`."""
        return [json.loads(event[6:]) for event in self.events if event.startswith("data: {")]

    @property
    def text(self) -> str:
        choices = [choice for chunk in self.chunks for choice in chunk["choices"]]
        return "".join(choice["delta"].get("content") or "" for choice in choices)

    @property
    def done(self) -> bool:
        return self.events[-1] == "data: [DONE]"

    @property
    def error(self) -> dict[str, Any]:
        """The error, from the body or the last event."""
        last = self.events[-1]
        content = json.loads(last.removeprefix("event: error\ndata: "))
        error: dict[str, Any] = content["error"]
        return error


@dataclass(frozen=True)
class Service:
    """A running service."""

    url: str
    program: Program
    database_url: str
    http: httpx2.Client

    @property
    def own_metrics_port(self) -> int:
        """The port of metrics of a service with one worker; waits for its log line."""
        line = self.program.line(lambda line: '"metrics.served"' in line)
        assert line, "metrics are not served"
        port: int = json.loads(line)["port"]
        return port

    def metric(self, name: str, **labels: str) -> float:
        """The sum over the series of a service with one worker."""
        return total(scrape(self.http, self.own_metrics_port), name, **labels)

    def chat(
        self,
        body: Any = None,
        *,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
        path: str = PATH,
    ) -> Reply:
        """One chat, read to its end; `content` are raw bytes instead of a JSON body."""
        sent = {"content-type": "application/json"} | (headers or {})
        raw = content if content is not None else json.dumps(body or HELLO).encode()
        response = self.http.post(self.url + path, content=raw, headers=sent)
        return Reply(response.status_code, response.headers, response.content)

    def row(self, chat_id: str) -> dict[str, Any]:
        """The chat's row; fails if it is not stored yet."""
        rows = query(self.database_url, "SELECT * FROM chat_logs WHERE id = :id", id=chat_id)
        assert len(rows) == 1, f"{len(rows)} rows for {chat_id}"
        return rows[0]

    def row_in_time(self, chat_id: str, seconds: float = 10) -> dict[str, Any]:
        """Waits for the row of a chat whose client has disconnected."""
        sql = "SELECT id FROM chat_logs WHERE id = :id"
        wait_until(lambda: query(self.database_url, sql, id=chat_id), f"no row for {chat_id}", seconds)
        return self.row(chat_id)

    def finished_line(self, chat_id: str) -> dict[str, Any]:
        """The chat's log line."""
        line = self.program.line(lambda line: chat_id in line and '"chat.finished"' in line, seconds=10)
        assert line, f"no line for {chat_id}"
        facts: dict[str, Any] = json.loads(line)
        return facts


@dataclass(frozen=True)
class SimulatedGroq:
    """A running simulator."""

    url: str
    http: httpx2.Client

    @property
    def root(self) -> str:
        return self.url.removesuffix("/openai/v1")

    def fail(self, *faults: dict[str, Any], seed: int = 0) -> None:
        """Replaces the scripted faults."""
        response = self.http.put(f"{self.root}/faults", json={"seed": seed, "faults": list(faults)})
        assert response.status_code == 200, response.text

    def applied(self) -> list[int]:
        """How often each fault was applied."""
        applied: list[int] = self.http.get(f"{self.root}/faults").json()["applied"]
        return applied

    def recover(self) -> None:
        self.http.delete(f"{self.root}/faults").raise_for_status()
        self.http.put(f"{self.root}/limits", json={}).raise_for_status()

    def wait_until_left(self, count: int, seconds: float = 10) -> None:
        """Waits until `count` clients have disconnected from it."""
        wait_until(lambda: self.seen()["left"] >= count, "no client has disconnected", seconds)

    def seen(self) -> dict[str, Any]:
        seen: dict[str, Any] = self.http.get(f"{self.root}/seen").json()
        return seen


@contextmanager
def service_before(
    groq: SimulatedGroq, folder: Path, settings: Mapping[str, str], *, database_url: str | None = None
) -> Iterator[Service]:
    """The service in its own process, on SQLite by default."""
    url = database_url or f"sqlite+aiosqlite:///{folder}/chats.db"
    env = {"DATABASE_URL": url, "GROQ_API_KEY": "test", "GROQ_BASE_URL": groq.url, "PORT": "0", **settings}
    with program(["app"], cwd=folder, env=env) as running:
        yield Service(running.url(), running, url, groq.http)

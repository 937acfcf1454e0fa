"""A new column is private until it is listed: the row has it, and no signal, no page and no endpoint."""

from pathlib import Path

import pytest

from app.commands.migrate import upgrade
from app.core.config import Settings
from tests.serving.unlisted_column import MARKER
from tests.support.database import query
from tests.support.ports import free_port
from tests.support.processes import program
from tests.support.service import DROP_IN, Service, SimulatedGroq


@pytest.mark.parametrize(("content", "stored"), [("full", MARKER), ("none", None)])
def test_unlisted_column_is_not_shown(content: str, stored: str | None, groq: SimulatedGroq, tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/chats.db"
    upgrade(Settings(_env_file=None, database_url=url))
    query(url, "ALTER TABLE chat_logs ADD COLUMN nickname TEXT")
    port, traces = free_port(), tmp_path / "traces.jsonl"
    env = {
        "DATABASE_URL": url,
        "GROQ_API_KEY": "test",
        "GROQ_BASE_URL": groq.url,
        "PORT": "0",
        "METRICS_PORT": str(port),
        "TRACE_FILE": str(traces),
        "CHAT_LOG_CONTENT": content,
    }
    with program(["tests.serving.unlisted_column"], cwd=tmp_path, env=env) as running:
        service = Service(running.url(), running, url, groq.http)
        reply = service.chat()
        assert service.row(reply.id)["nickname"] == stored
        assert service.finished_line(reply.id)["outcome"] == "completed"
        page = groq.http.get(f"{service.url}/page/chats/{reply.id}")
        own = groq.http.get(f"{service.url}{DROP_IN}/{reply.id}")
        metrics = groq.http.get(f"http://127.0.0.1:{port}/metrics")
    assert page.json()["outcome"] == own.json()["x_chat"]["outcome"] == "completed"
    assert 'chat_requests_total{model="openai/gpt-oss-20b",outcome="completed"} 1.0' in metrics.text
    assert reply.id in traces.read_text()
    for text in (running.output, page.text, own.text, metrics.text, traces.read_text()):
        assert MARKER not in text

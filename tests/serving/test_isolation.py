"""A dependency that hangs blocks no other: chats continue and get their receipts."""

import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psutil

from app.core.config import Settings
from tests.serving.apps import UNRESOLVED_NAME
from tests.serving.outage import readiness, wait_until_stored
from tests.support.ports import free_port
from tests.support.service import DROP_IN, HELLO, PATH, SimulatedGroq
from tests.support.serving import Workers, serving

OBSERVED_S = 8
"""Four pings of a database that does not answer, or six requests to such a Redis."""


@contextmanager
def started(
    folder: Path, http: httpx2.Client, groq: SimulatedGroq, database_url: str, env: Mapping[str, str]
) -> Iterator[Workers]:
    """One worker whose provider is named too; `database_url` is how the test itself reaches the database."""
    settings = {
        "GROQ_API_KEY": "test",
        "GROQ_BASE_URL": groq.url.replace("127.0.0.1", "localhost"),
        "GROQ_RETRY_SLEEP_BUDGET_S": "0.1",
        "COMMIT_TIMEOUT_S": "0.5",
        "NAME_SERVER": str(folder / "name-server"),
        "OUTBOX_DIR": str(folder / "outbox"),
    }
    app = "tests.serving.apps:with_unresolved_name()"
    with serving(folder, http, {**settings, **env}, database_url=database_url, workers=1, app=app) as running:
        yield running


def chat_repeatedly(workers: Workers) -> list[str]:
    """Runs chats one by one for `OBSERVED_S`: each has its receipt, and the number of threads does not grow."""
    worker = psutil.Process(workers.pid(workers.metrics_base))
    ids = [chat(workers)]
    threads = worker.num_threads()
    until = time.monotonic() + OBSERVED_S
    while time.monotonic() < until:
        began = time.monotonic()
        assert readiness(workers)["status"] == "ready"
        assert time.monotonic() - began < 5
        ids.append(chat(workers))
        time.sleep(0.2)
    assert len(ids) > 3
    assert worker.num_threads() <= threads + 1
    return ids


def chat(workers: Workers) -> str:
    reply = workers.chat(headers={"authorization": "Bearer key"})
    assert reply.done, reply.body
    return reply.id


def test_lookup_of_the_database_s_name_hangs(
    chats_database: str, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path
) -> None:
    env = {"DATABASE_URL": chats_database.replace("127.0.0.1", UNRESOLVED_NAME)}
    with started(tmp_path, http, groq, chats_database, env) as workers:
        began = time.monotonic()
        assert readiness(workers)["database"] == "down"
        assert time.monotonic() - began < 5
        ids = chat_repeatedly(workers)
        assert workers.finished_line(ids[-1])["stored_in"] == "outbox"
        assert workers.program.stop(signal.SIGTERM) == 0  # during the lookup
    (tmp_path / "name-server").touch()
    with started(tmp_path, http, groq, chats_database, env) as workers:
        wait_until_stored(workers, [*ids, chat(workers)])


def test_lookup_of_redis_name_hangs(
    chats_database: str, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path
) -> None:
    env = {
        "REDIS_URL": f"redis://{UNRESOLVED_NAME}:{free_port()}/0",
        "API_KEYS": "me:key",
        "QUOTA_REQUESTS_PER_MINUTE": "1000",
    }
    with started(tmp_path, http, groq, chats_database, env) as workers:
        ids = chat_repeatedly(workers)
        assert workers.finished_line(ids[-1])["stored_in"] == "database"
        assert "quota_store.failed" in workers.program.output
        assert workers.program.stop(signal.SIGTERM) == 0


def test_chats_and_health_checks_use_no_shared_thread(
    database: Settings, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path
) -> None:
    """Only the static files of the page do."""
    url = database.database_url.get_secret_value()
    env = {"GROQ_API_KEY": "test", "GROQ_BASE_URL": groq.url.replace("127.0.0.1", "localhost")}
    app = "tests.serving.apps:with_blocked_threads()"
    with serving(tmp_path, http, env, database_url=url, workers=1, app=app) as workers:
        for path in (PATH, DROP_IN):
            reply = workers.chat({**HELLO, "stream": True}, path=path)
            assert reply.done
            assert workers.row(reply.id)["outcome"] == "completed"
            assert http.get(f"{workers.url}/page/chats/{reply.id}").json()["id"] == reply.id
        assert workers.chat(path=DROP_IN).status == 200
        assert readiness(workers) == {"status": "ready", "database": "up", "outbox_rows": 0}
        for path in ("/healthz", "/v1/models", "/page/about", "/openapi.json", "/docs"):
            assert http.get(workers.url + path).status_code == 200

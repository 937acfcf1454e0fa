"""A dependency that hangs takes no other away: chats go on, and so do their receipts."""

import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psutil

from app.core.config import Settings
from tests.serving.outage import all_are_rows_in_the_end, ready
from tests.serving.with_a_silent_name_server import NAME
from tests.support.ports import free_port
from tests.support.service import DROP_IN, HELLO, PATH, SimulatedGroq
from tests.support.serving import Workers, serving

APP = "tests.serving.with_a_silent_name_server:create_app()"
LONG_ENOUGH_S = 8
"""For four pings of a database that does not answer, or six trips to such a Redis."""


@contextmanager
def started(
    folder: Path, http: httpx2.Client, groq: SimulatedGroq, database_url: str, env: Mapping[str, str]
) -> Iterator[Workers]:
    """One worker, whose Groq has a name as well; `database_url` is the test's own way into the database."""
    settings = {
        "GROQ_API_KEY": "test",
        "GROQ_BASE_URL": groq.url.replace("127.0.0.1", "localhost"),
        "GROQ_RETRY_SLEEP_BUDGET_S": "0.1",
        "COMMIT_TIMEOUT_S": "0.5",
        "NAME_SERVER": str(folder / "name-server"),
        "OUTBOX_DIR": str(folder / "outbox"),
    }
    with serving(folder, http, {**settings, **env}, database_url=database_url, workers=1, app=APP) as running:
        yield running


def chats_in_time(workers: Workers) -> list[str]:
    """One after the other, each with its receipt, and no more threads at the end than at the first."""
    worker = psutil.Process(workers.pid(workers.metrics_base))
    ids = [chat(workers)]
    threads = worker.num_threads()
    until = time.monotonic() + LONG_ENOUGH_S
    while time.monotonic() < until:
        began = time.monotonic()
        assert ready(workers)["status"] == "ready"
        assert time.monotonic() - began < 2
        ids.append(chat(workers))
        time.sleep(0.2)
    assert len(ids) > LONG_ENOUGH_S
    assert worker.num_threads() <= threads + 1
    return ids


def chat(workers: Workers) -> str:
    reply = workers.chat(headers={"authorization": "Bearer key"})
    assert reply.done, reply.body
    return reply.id


def test_the_database_s_name_has_no_answer(
    chats_database: str, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path
) -> None:
    env = {"DATABASE_URL": chats_database.replace("127.0.0.1", NAME)}
    with started(tmp_path, http, groq, chats_database, env) as workers:
        began = time.monotonic()
        assert ready(workers)["database"] == "down"
        assert time.monotonic() - began < 2
        ids = chats_in_time(workers)
        assert workers.finished_line(ids[-1])["stored_in"] == "outbox"
        assert workers.program.stop(signal.SIGTERM) == 0  # while it looks the name up
    (tmp_path / "name-server").touch()
    with started(tmp_path, http, groq, chats_database, env) as workers:
        all_are_rows_in_the_end(workers, [*ids, chat(workers)])


def test_the_name_of_redis_has_no_answer(
    chats_database: str, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path
) -> None:
    env = {"REDIS_URL": f"redis://{NAME}:{free_port()}/0", "API_KEYS": "me:key", "QUOTA_REQUESTS_PER_MINUTE": "1000"}
    with started(tmp_path, http, groq, chats_database, env) as workers:
        ids = chats_in_time(workers)
        assert workers.finished_line(ids[-1])["stored_in"] == "database"
        assert "quota_store.failed" in workers.program.output
        assert workers.program.stop(signal.SIGTERM) == 0


def test_chats_and_health_checks_need_none_of_the_threads_that_are_shared(
    database: Settings, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path
) -> None:
    """Only the page's files do."""
    url = database.database_url.get_secret_value()
    env = {"GROQ_API_KEY": "test", "GROQ_BASE_URL": groq.url.replace("127.0.0.1", "localhost")}
    app = "tests.serving.with_hung_threads:create_app()"
    with serving(tmp_path, http, env, database_url=url, workers=1, app=app) as workers:
        for path in (PATH, DROP_IN):
            reply = workers.chat({**HELLO, "stream": True}, path=path)
            assert reply.done
            assert workers.row(reply.id)["outcome"] == "completed"
            assert http.get(f"{workers.url}/page/chats/{reply.id}").json()["id"] == reply.id
        assert workers.chat(path=DROP_IN).status == 200
        assert ready(workers) == {"status": "ready", "database": "up", "outbox_rows": 0}
        for path in ("/healthz", "/v1/models", "/page/about", "/openapi.json", "/docs"):
            assert http.get(workers.url + path).status_code == 200

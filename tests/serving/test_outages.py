"""The database fails in every way there is: streams go on, every receipt is kept, and every row is there once."""

import itertools
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from secrets import token_hex

import httpx2
import pytest

from app.core.config import Settings
from app.db.migrate import upgrade
from tests.support import postgres as postgres_server
from tests.support.database import execute, query
from tests.support.postgres import Postgres
from tests.support.scrape import scrape, total
from tests.support.service import HELLO, SimulatedGroq
from tests.support.serving import Workers, serving

ENV = {"GROQ_API_KEY": "test", "COMMIT_TIMEOUT_S": "0.5", "DRAIN_TIMEOUT_S": "1", "MAX_BODY_BYTES": "200000"}
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL that may be hurt."""
    folder = tmp_path_factory.mktemp("hurt")
    for parent in (folder, folder.parent, folder.parent.parent):
        parent.chmod(0o755)
    with postgres_server.running(folder) as running:
        yield running


@pytest.fixture
def url(server: Postgres) -> str:
    """A migrated database of its own."""
    name = f"outage_{next(_numbers)}"
    execute(server.url(), f"CREATE DATABASE {name}")
    upgrade(Settings(_env_file=None, database_url=server.url(name)))
    return server.url(name)


@pytest.fixture
def workers(url: str, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path) -> Iterator[Workers]:
    with serving(tmp_path, http, {**ENV, "GROQ_BASE_URL": groq.url}, database_url=url) as running:
        yield running


def chat(workers: Workers, count: int = 1, content: str = "Hello") -> list[str]:
    """So many chats on connections of their own, over both workers; the ids of those with a receipt."""

    def one(_: int) -> str:
        with httpx2.Client(timeout=30, trust_env=False) as client:
            body = {"messages": [{"role": "user", "content": content}]}
            reply = Workers(**{**vars(workers), "http": client}).chat(body)
        assert reply.done, reply.body[-300:]
        return reply.id

    with ThreadPoolExecutor(min(count, 16)) as pool:
        return list(pool.map(one, range(count)))


def ready(workers: Workers) -> dict[str, object]:
    answer: dict[str, object] = workers.http.get(f"{workers.url}/readyz").json()
    return answer


def spooled(workers: Workers) -> float:
    return total(scrape(workers.http, *workers.ports), "chat_log_spooled_rows")


def all_are_rows_in_the_end(workers: Workers, ids: list[str], seconds: float = 30) -> None:
    """Each once, and nothing waits any longer."""
    deadline = time.monotonic() + seconds
    while spooled(workers) or set(rows(workers)) < set(ids):
        assert time.monotonic() < deadline, f"{spooled(workers)} rows wait"
        time.sleep(0.1)
    assert sorted(rows(workers)) == sorted(ids)


def rows(workers: Workers) -> list[str]:
    return [str(row["id"]) for row in query(workers.database_url, "SELECT id FROM chat_logs")]


def test_down_from_the_start_and_when_a_killed_worker_is_replaced(
    server: Postgres, url: str, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path
) -> None:
    server.stop()
    try:
        with serving(tmp_path, http, {**ENV, "GROQ_BASE_URL": groq.url}, database_url=url) as workers:
            ids = chat(workers, 12)
            assert spooled(workers) == 12
            told = workers.http.get(f"{workers.url}/readyz")
            assert (told.status_code, told.json()["status"], told.json()["database"]) == (200, "ready", "down")
            killed = workers.pid(workers.ports[0])
            workers.kill(workers.ports[0], signal.SIGKILL)
            deadline = time.monotonic() + 30
            while len(workers.ports) < 2 or workers.pid(workers.ports[0]) == killed or spooled(workers) < 12:
                assert time.monotonic() < deadline, "what it left is not taken over"
                time.sleep(0.1)
            ids += chat(workers, 4)
            server.start()
            all_are_rows_in_the_end(workers, ids)
            assert not list((tmp_path / "data" / "spool").glob("*.jsonl"))
    finally:
        if not server.runs:
            server.start()


def test_killed_under_load(server: Postgres, workers: Workers) -> None:
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(chat, workers, 300)
        time.sleep(0.7)
        server.stop()
        time.sleep(2)
        server.start()
        ids = load.result()
    all_are_rows_in_the_end(workers, ids)
    assert len(ids) == 300


def test_silent_while_its_connections_stand(server: Postgres, workers: Workers) -> None:
    ids = chat(workers, 4)
    server.freeze()
    try:
        ids += chat(workers, 20)
        assert spooled(workers) == 20
        assert ready(workers)["database"] == "down"
    finally:
        server.thaw()
    all_are_rows_in_the_end(workers, ids)


def test_slow(workers: Workers) -> None:
    """Every insert takes longer than a commit may."""
    sql = "CREATE FUNCTION wait() RETURNS trigger AS $$ BEGIN PERFORM pg_sleep(2); RETURN NULL; END $$ LANGUAGE plpgsql"
    execute(workers.database_url, sql)
    trigger = "CREATE TRIGGER slow AFTER INSERT ON chat_logs FOR EACH STATEMENT EXECUTE FUNCTION wait()"
    execute(workers.database_url, trigger)
    ids = chat(workers, 20)
    assert rows(workers) == []
    execute(workers.database_url, "DROP TRIGGER slow ON chat_logs")
    all_are_rows_in_the_end(workers, ids)


def test_its_disk_is_full(server: Postgres, workers: Workers) -> None:
    """No file of it may grow any larger than the largest one is: what would need a new page is refused."""
    ids = chat(workers, 2, content=token_hex(50_000))
    large = "(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 600000))"  # 19 MB
    execute(workers.database_url, f"UPDATE chat_logs SET response = {large} WHERE id = '{ids[0]}'")
    server.fill_disk(16 * 2**20)
    try:
        ids += chat(workers, 10, content=token_hex(50_000))
        assert spooled(workers) == 10
        assert "File too large" in workers.program.output
    finally:
        server.fill_disk(None)
    all_are_rows_in_the_end(workers, ids)


def test_it_refuses_one_row_for_its_data(workers: Workers, tmp_path: Path) -> None:
    """The others of its commit are kept; it waits for a person, who mends the cause and moves it back."""
    execute(workers.database_url, "ALTER TABLE chat_logs ADD CONSTRAINT polite CHECK (prompt <> 'rude')")
    with ThreadPoolExecutor(2) as pool:
        rude, polite = pool.submit(chat, workers, 3, "rude"), pool.submit(chat, workers, 20)
        refused, ids = rude.result(), polite.result()
    all_are_rows_in_the_end(workers, ids)
    samples = scrape(workers.http, *workers.ports)
    assert total(samples, "chat_log_rejected_rows_total") == 3
    assert ready(workers)["status"] == "ready"
    aside = tmp_path / "data" / "spool" / "rejected"
    assert {path.stem for path in aside.iterdir()} == set(refused)
    execute(workers.database_url, "ALTER TABLE chat_logs DROP CONSTRAINT polite")
    for path in aside.iterdir():
        path.rename(aside.parent / path.name)
    all_are_rows_in_the_end(workers, [*ids, *refused])


def test_rows_with_characters_that_it_cannot_store(workers: Workers) -> None:
    ids = chat(workers, 3, content="NUL \x00 and \uffff")
    all_are_rows_in_the_end(workers, ids)
    (prompt,) = {row["prompt"] for row in query(workers.database_url, "SELECT prompt FROM chat_logs")}
    assert prompt == "NUL \ufffd and \uffff"


def test_until_the_spool_is_full(
    server: Postgres, url: str, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path
) -> None:
    """Then new chats are refused, and nothing that was accepted is dropped."""
    limits = {"MAX_BODY_BYTES": "20000", "CHAT_MAX_ANSWER_BYTES": "20000", "SPOOL_MAX_BYTES": "120000"}
    env = {**ENV, **limits, "GROQ_BASE_URL": groq.url}
    with serving(tmp_path, http, env, database_url=url, workers=1) as workers:
        server.stop()
        try:
            ids = []
            while (reply := workers.chat({"messages": [{"role": "user", "content": "x" * 5000}]})).status == 200:
                assert reply.done
                ids.append(reply.id)
            assert len(ids) > 2
            assert (reply.status, reply.error["code"]) == (503, "rows_unavailable")
            assert int(reply.headers["retry-after"]) >= 1
            answer = workers.http.get(f"{workers.url}/readyz")
            assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
            assert sum(path.stat().st_size for path in (tmp_path / "data" / "spool").iterdir()) < 120_000
        finally:
            server.start()
        all_are_rows_in_the_end(workers, ids)
        ids.append(workers.chat(HELLO).id)
        all_are_rows_in_the_end(workers, ids)


def test_neither_the_database_nor_the_disk(
    server: Postgres, url: str, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path
) -> None:
    """What runs is told that it is not recorded; what comes next is refused before Groq is paid."""
    with serving(tmp_path, http, {**ENV, "GROQ_BASE_URL": groq.url}, database_url=url, workers=1) as workers:
        spool = tmp_path / "data" / "spool"
        spool.rmdir()
        spool.touch()
        server.stop()
        try:
            reply = workers.chat()
            assert not reply.done
            assert reply.error["code"] == "not_recorded"
            line = workers.finished_line(reply.id)
            assert (line["outcome"], line["kept"]) == ("not_recorded", None)
            paid_for = groq.seen()["requests"]
            refused = workers.chat()
            assert (refused.status, refused.error["code"]) == (503, "rows_unavailable")
            assert groq.seen()["requests"] == paid_for
        finally:
            server.start()
        spool.unlink()
        deadline = time.monotonic() + 20
        while not (reply := workers.chat()).done:
            assert time.monotonic() < deadline, "it never came back"
            time.sleep(0.1)
        all_are_rows_in_the_end(workers, [reply.id])

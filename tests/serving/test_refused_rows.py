"""Rows that the database does not take for what is in them, and those for which there is no place at all."""

import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from tests.serving.outage import ENV, all_are_rows_in_the_end, chat, ready
from tests.support.database import execute, query
from tests.support.http import client as http_client
from tests.support.postgres import Postgres
from tests.support.processes import run
from tests.support.scrape import scrape, total
from tests.support.service import HELLO, PATH, SimulatedGroq
from tests.support.serving import Workers, serving
from tests.support.waiting import wait_until


@pytest.fixture
def workers(hurt_workers: Workers) -> Workers:
    return hurt_workers


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
    env = {"DATABASE_URL": workers.database_url}
    _, listed = run(["app", "outbox"], cwd=tmp_path, env=env)
    assert all(row_id in listed for row_id in refused)
    assert 'violates check constraint "polite"' in listed
    execute(workers.database_url, "ALTER TABLE chat_logs DROP CONSTRAINT polite")
    assert run(["app", "outbox", "--retry"], cwd=tmp_path, env=env)[1] == "rows to be tried again: 3\n"
    all_are_rows_in_the_end(workers, [*ids, *refused])


def test_rows_with_characters_that_it_cannot_store(workers: Workers) -> None:
    ids = chat(workers, 3, content="NUL \x00 and \uffff")
    all_are_rows_in_the_end(workers, ids)
    (prompt,) = {row["prompt"] for row in query(workers.database_url, "SELECT prompt FROM chat_logs")}
    assert prompt == "NUL \ufffd and \uffff"


def test_until_the_outbox_is_full(
    hurt_postgres: Postgres, outage_database: str, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path
) -> None:
    """Then new chats are refused, and nothing that was accepted is dropped."""
    limits = {"MAX_BODY_BYTES": "20000", "CHAT_MAX_ANSWER_BYTES": "20000", "OUTBOX_MAX_BYTES": "160000"}
    env = {**ENV, **limits, "GROQ_BASE_URL": groq.url}
    with serving(tmp_path, http, env, database_url=outage_database, workers=1) as workers:
        hurt_postgres.stop()
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
            assert (tmp_path / "data" / "outbox" / "outbox.db").stat().st_size < 160_000
        finally:
            hurt_postgres.start()
        all_are_rows_in_the_end(workers, ids)
        ids.append(workers.chat(HELLO).id)
        all_are_rows_in_the_end(workers, ids)


def test_space_is_reserved_over_all_workers_before_groq_is_paid_and_released_with_a_killed_one(
    outage_database: str, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path
) -> None:
    """While the database is healthy, and only running chats need space: it is enough for four of them."""
    limits = {"MAX_BODY_BYTES": "20000", "CHAT_MAX_ANSWER_BYTES": "20000", "OUTBOX_MAX_BYTES": "110000"}
    env = {**ENV, **limits, "GROQ_BASE_URL": groq.url}
    with serving(tmp_path, http, env, database_url=outage_database) as workers, ExitStack() as running:
        groq.fail({"tokens_per_s": 5, "words": 600})
        for _ in range(4):
            client = running.enter_context(http_client())
            response = running.enter_context(client.stream("POST", workers.url + PATH, json=HELLO))
            assert response.status_code == 200
        active = {port: total(scrape(http, port), "chat_active_streams") for port in workers.ports}
        assert sum(active.values()) == 4
        paid_for = groq.seen()["requests"]
        for _ in range(12):  # by both workers
            with http_client() as client:
                refused = client.post(workers.url + PATH, json=HELLO)
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "rows_unavailable")
        assert groq.seen()["requests"] == paid_for
        busy = max(active, key=lambda port: active[port])
        killed = workers.pid(busy)
        workers.kill(busy, signal.SIGKILL)
        workers.wait_for_pid(busy, other_than=killed)
        groq.fail({"words": 1})
        assert chat(workers)


def test_neither_the_database_nor_the_disk(
    hurt_postgres: Postgres, outage_database: str, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path
) -> None:
    """What runs is told that it is not recorded; what comes next is refused before Groq is paid."""
    with serving(
        tmp_path, http, {**ENV, "GROQ_BASE_URL": groq.url}, database_url=outage_database, workers=1
    ) as workers:
        folder = tmp_path / "data" / "outbox"
        shutil.rmtree(folder)
        folder.touch()
        hurt_postgres.stop()
        try:
            reply = workers.chat()
            assert not reply.done
            assert reply.error["code"] == "persistence_failed"
            line = workers.finished_line(reply.id)
            assert (line["outcome"], line["stored_in"]) == ("persistence_failed", None)
            paid_for = groq.seen()["requests"]
            refused = workers.chat()
            assert (refused.status, refused.error["code"]) == (503, "rows_unavailable")
            assert groq.seen()["requests"] == paid_for
        finally:
            hurt_postgres.start()
        folder.unlink()

        def completed() -> str:
            reply = workers.chat()
            return reply.id if reply.done else ""

        all_are_rows_in_the_end(workers, [wait_until(completed, "it never came back")])

"""Rows that the database rejects for their data, and rows for which neither database nor disk has space."""

import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx2

from tests.serving.outage import ENV, chat, readiness, replace_by_file, wait_until_stored
from tests.support.database import execute, query
from tests.support.postgres import Postgres
from tests.support.processes import run
from tests.support.scrape import scrape, total
from tests.support.service import HELLO, PATH, SimulatedGroq, http_client
from tests.support.serving import Workers, serving
from tests.support.waiting import wait_until


def test_rejected_row_does_not_block_others_and_can_be_retried(outage_workers: Workers, tmp_path: Path) -> None:
    workers = outage_workers
    execute(workers.database_url, "ALTER TABLE chat_logs ADD CONSTRAINT polite CHECK (prompt <> 'rude')")
    with ThreadPoolExecutor(2) as pool:
        rude, polite = pool.submit(chat, workers, 3, "rude"), pool.submit(chat, workers, 20)
        rejected, ids = rude.result(), polite.result()
    wait_until_stored(workers, ids)
    samples = scrape(workers.http, *workers.ports)
    assert total(samples, "chat_log_rejected_rows_total") == 3
    assert readiness(workers)["status"] == "ready"
    env = {"DATABASE_URL": workers.database_url}
    _, listed = run(["app", "outbox"], cwd=tmp_path, env=env)
    assert all(row_id in listed for row_id in rejected)
    assert 'violates check constraint "polite"' in listed
    execute(workers.database_url, "ALTER TABLE chat_logs DROP CONSTRAINT polite")
    assert run(["app", "outbox", "--retry"], cwd=tmp_path, env=env)[1] == "rows to be tried again: 3\n"
    wait_until_stored(workers, [*ids, *rejected])


def test_character_that_postgresql_cannot_store_is_replaced(outage_workers: Workers) -> None:
    workers = outage_workers
    ids = chat(workers, 3, content="NUL \x00 and \uffff")
    wait_until_stored(workers, ids)
    (prompt,) = {row["prompt"] for row in query(workers.database_url, "SELECT prompt FROM chat_logs")}
    assert prompt == "NUL \ufffd and \uffff"


def test_full_outbox_refuses_new_chats_and_loses_no_row(
    breakable_postgres: Postgres, outage_database: str, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path
) -> None:
    limits = {"MAX_BODY_BYTES": "20000", "CHAT_MAX_ANSWER_BYTES": "20000", "OUTBOX_MAX_BYTES": "160000"}
    env = {**ENV, **limits, "GROQ_BASE_URL": groq.url}
    with serving(tmp_path, http, env, database_url=outage_database, workers=1) as workers:
        breakable_postgres.stop()
        try:
            ids: list[str] = []
            while (reply := workers.chat({"messages": [{"role": "user", "content": "x" * 5000}]})).status == 200:
                assert reply.done
                assert len(ids) < 100
                ids.append(reply.id)
            assert len(ids) > 2
            assert (reply.status, reply.error["code"]) == (503, "rows_unavailable")
            assert int(reply.headers["retry-after"]) >= 1
            answer = workers.http.get(f"{workers.url}/readyz")
            assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
            assert (tmp_path / "data" / "outbox" / "outbox.db").stat().st_size < 160_000
        finally:
            breakable_postgres.start()
        wait_until_stored(workers, ids)
        ids.append(workers.chat(HELLO).id)
        wait_until_stored(workers, ids)


def test_outbox_space_is_reserved_over_all_workers_and_released_when_one_is_killed(
    outage_database: str, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path
) -> None:
    """Space for four chats, reserved before the request to the provider. The database is healthy."""
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
        requests = groq.seen()["requests"]
        for _ in range(12):  # reaches both workers
            with http_client() as client:
                refused = client.post(workers.url + PATH, json=HELLO)
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "rows_unavailable")
        assert groq.seen()["requests"] == requests
        busy = max(active, key=lambda port: active[port])
        killed = workers.pid(busy)
        workers.kill(busy, signal.SIGKILL)
        workers.wait_for_pid(busy, other_than=killed)
        groq.fail({"words": 1})
        assert chat(workers)


def test_without_database_and_disk_running_chats_fail_and_new_ones_are_refused(
    breakable_postgres: Postgres, outage_database: str, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path
) -> None:
    """New ones before their request to the provider."""
    with serving(
        tmp_path, http, {**ENV, "GROQ_BASE_URL": groq.url}, database_url=outage_database, workers=1
    ) as workers:
        folder = tmp_path / "data" / "outbox"
        replace_by_file(folder)
        breakable_postgres.stop()
        try:
            reply = workers.chat()
            assert not reply.done
            assert reply.error["code"] == "persistence_failed"
            line = workers.finished_line(reply.id)
            assert (line["outcome"], line["stored_in"]) == ("persistence_failed", None)
            requests = groq.seen()["requests"]
            refused = workers.chat()
            assert (refused.status, refused.error["code"]) == (503, "rows_unavailable")
            assert groq.seen()["requests"] == requests
        finally:
            breakable_postgres.start()
        folder.unlink()

        def completed() -> str:
            reply = workers.chat()
            return reply.id if reply.done else ""

        wait_until_stored(workers, [wait_until(completed, "chats are still refused")])

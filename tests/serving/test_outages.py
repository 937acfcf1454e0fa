"""Outages of PostgreSQL: chats continue, and every chat with a receipt has exactly one row in the end."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from secrets import token_hex

import httpx2
import pytest

from tests.serving.outage import ENV, chat, outbox_rows, readiness, stored_ids, wait_until_stored
from tests.support.database import execute
from tests.support.postgres import Postgres
from tests.support.service import SimulatedGroq
from tests.support.serving import Workers, serving
from tests.support.waiting import wait_until


def test_database_down_from_the_start_and_while_a_killed_worker_is_replaced(
    breakable_postgres: Postgres, outage_database: str, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path
) -> None:
    breakable_postgres.stop()
    try:
        with serving(tmp_path, http, {**ENV, "GROQ_BASE_URL": groq.url}, database_url=outage_database) as workers:
            ids = chat(workers, 12)
            wait_until(lambda: outbox_rows(workers) == 12, "not all rows are in the outbox")
            response = workers.http.get(f"{workers.url}/readyz")
            assert response.status_code == 200
            assert (response.json()["status"], response.json()["database"]) == ("ready", "down")
            killed = workers.pid(workers.metrics_base)
            workers.kill(workers.metrics_base, signal.SIGKILL)
            workers.wait_for_pid(workers.metrics_base, other_than=killed)
            wait_until(
                lambda: len(workers.ports) == 2 and outbox_rows(workers) == 12,
                "the new worker has no outbox",
            )
            ids += chat(workers, 4)
            breakable_postgres.start()
            wait_until_stored(workers, ids)
    finally:
        if not breakable_postgres.runs:
            breakable_postgres.start()


@pytest.mark.parametrize("chats", [100, pytest.param(300, marks=pytest.mark.long)])
def test_database_crashes_under_load(breakable_postgres: Postgres, outage_workers: Workers, chats: int) -> None:
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(chat, outage_workers, chats)
        wait_until(lambda: len(stored_ids(outage_workers)) >= chats // 10, "no row is stored")
        breakable_postgres.stop()
        wait_until(lambda: outbox_rows(outage_workers) >= chats // 10, "no row is in the outbox")
        breakable_postgres.start()
        ids = load.result()
    wait_until_stored(outage_workers, ids)
    assert len(ids) == chats


def test_database_stops_answering_on_open_connections(breakable_postgres: Postgres, outage_workers: Workers) -> None:
    ids = chat(outage_workers, 4)
    breakable_postgres.freeze()
    try:
        for _ in range(6):  # before a chat has found out
            began = time.monotonic()
            assert readiness(outage_workers)["database"] == "down"
            assert time.monotonic() - began < 5  # a ping waits for one second
        ids += chat(outage_workers, 20)
        wait_until(
            lambda: outbox_rows(outage_workers) >= 20, "not all rows are in the outbox"
        )  # on a slow machine, the first four too
        assert readiness(outage_workers)["database"] == "down"
    finally:
        breakable_postgres.thaw()
    wait_until_stored(outage_workers, ids)


def test_every_insert_exceeds_the_commit_timeout(outage_workers: Workers) -> None:
    sql = "CREATE FUNCTION wait() RETURNS trigger AS $$ BEGIN PERFORM pg_sleep(2); RETURN NULL; END $$ LANGUAGE plpgsql"
    execute(outage_workers.database_url, sql)
    trigger = "CREATE TRIGGER slow AFTER INSERT ON chat_logs FOR EACH STATEMENT EXECUTE FUNCTION wait()"
    execute(outage_workers.database_url, trigger)
    ids = chat(outage_workers, 20)
    assert stored_ids(outage_workers) == []
    execute(outage_workers.database_url, "DROP TRIGGER slow ON chat_logs")
    wait_until_stored(outage_workers, ids)


def test_disk_of_the_database_is_full(breakable_postgres: Postgres, outage_workers: Workers) -> None:
    """No file may grow beyond the largest one: a write that needs a new page fails."""
    ids = chat(outage_workers, 2, content=token_hex(50_000))
    large = "(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 600000))"  # 19 MB
    execute(outage_workers.database_url, f"UPDATE chat_logs SET response = {large} WHERE id = '{ids[0]}'")
    breakable_postgres.fill_disk(16 * 2**20)
    try:
        ids += chat(outage_workers, 10, content=token_hex(50_000))
        wait_until(lambda: outbox_rows(outage_workers) >= 10, "not all rows are in the outbox")
        assert "File too large" in outage_workers.program.output
    finally:
        breakable_postgres.fill_disk(None)
    wait_until_stored(outage_workers, ids)

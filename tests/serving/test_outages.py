"""The database fails in every way there is: streams go on, every receipt is kept, and every row is there once."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from secrets import token_hex

import httpx2
import pytest

from tests.serving.outage import ENV, all_are_rows_in_the_end, chat, ready, rows, waiting
from tests.support.database import execute
from tests.support.postgres import Postgres
from tests.support.service import SimulatedGroq
from tests.support.serving import Workers, serving
from tests.support.waiting import wait_until


@pytest.fixture
def workers(hurt_workers: Workers) -> Workers:
    return hurt_workers


def test_down_from_the_start_and_when_a_killed_worker_is_replaced(
    hurt_postgres: Postgres, outage_database: str, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path
) -> None:
    hurt_postgres.stop()
    try:
        with serving(tmp_path, http, {**ENV, "GROQ_BASE_URL": groq.url}, database_url=outage_database) as workers:
            ids = chat(workers, 12)
            wait_until(lambda: waiting(workers) == 12, "not all rows wait")
            told = workers.http.get(f"{workers.url}/readyz")
            assert (told.status_code, told.json()["status"], told.json()["database"]) == (200, "ready", "down")
            killed = workers.pid(workers.metrics_base)
            workers.kill(workers.metrics_base, signal.SIGKILL)
            workers.wait_for_pid(workers.metrics_base, other_than=killed)
            wait_until(lambda: len(workers.ports) == 2 and waiting(workers) == 12, "what it left is not taken over")
            ids += chat(workers, 4)
            hurt_postgres.start()
            all_are_rows_in_the_end(workers, ids)
    finally:
        if not hurt_postgres.runs:
            hurt_postgres.start()


@pytest.mark.parametrize("chats", [100, pytest.param(300, marks=pytest.mark.long)])
def test_killed_under_load(hurt_postgres: Postgres, workers: Workers, chats: int) -> None:
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(chat, workers, chats)
        wait_until(lambda: len(rows(workers)) >= chats // 10, "no row is written")
        hurt_postgres.stop()
        wait_until(lambda: waiting(workers) >= chats // 10, "no row waits")
        hurt_postgres.start()
        ids = load.result()
    all_are_rows_in_the_end(workers, ids)
    assert len(ids) == chats


def test_silent_while_its_connections_stand(hurt_postgres: Postgres, workers: Workers) -> None:
    ids = chat(workers, 4)
    hurt_postgres.freeze()
    try:
        for _ in range(6):  # before any chat has noticed
            began = time.monotonic()
            assert ready(workers)["database"] == "down"
            assert time.monotonic() - began < 1.8
        ids += chat(workers, 20)
        wait_until(lambda: waiting(workers) >= 20, "not all rows wait")  # on a slow machine, the first ones too
        assert ready(workers)["database"] == "down"
    finally:
        hurt_postgres.thaw()
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


def test_its_disk_is_full(hurt_postgres: Postgres, workers: Workers) -> None:
    """No file of it may grow any larger than the largest one is: what would need a new page is refused."""
    ids = chat(workers, 2, content=token_hex(50_000))
    large = "(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 600000))"  # 19 MB
    execute(workers.database_url, f"UPDATE chat_logs SET response = {large} WHERE id = '{ids[0]}'")
    hurt_postgres.fill_disk(16 * 2**20)
    try:
        ids += chat(workers, 10, content=token_hex(50_000))
        wait_until(lambda: waiting(workers) >= 10, "not all rows wait")
        assert "File too large" in workers.program.output
    finally:
        hurt_postgres.fill_disk(None)
    all_are_rows_in_the_end(workers, ids)

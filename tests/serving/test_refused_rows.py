"""Rows that the database does not take for what is in them, and those for which there is no place at all."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from tests.serving.outage import ENV, all_are_rows_in_the_end, chat, ready
from tests.support.database import execute, query
from tests.support.postgres import Postgres
from tests.support.scrape import scrape, total
from tests.support.service import HELLO, SimulatedGroq
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
    hurt_postgres: Postgres, outage_database: str, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path
) -> None:
    """Then new chats are refused, and nothing that was accepted is dropped."""
    limits = {"MAX_BODY_BYTES": "20000", "CHAT_MAX_ANSWER_BYTES": "20000", "SPOOL_MAX_BYTES": "120000"}
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
            assert sum(path.stat().st_size for path in (tmp_path / "data" / "spool").iterdir()) < 120_000
        finally:
            hurt_postgres.start()
        all_are_rows_in_the_end(workers, ids)
        ids.append(workers.chat(HELLO).id)
        all_are_rows_in_the_end(workers, ids)


def test_neither_the_database_nor_the_disk(
    hurt_postgres: Postgres, outage_database: str, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path
) -> None:
    """What runs is told that it is not recorded; what comes next is refused before Groq is paid."""
    with serving(
        tmp_path, http, {**ENV, "GROQ_BASE_URL": groq.url}, database_url=outage_database, workers=1
    ) as workers:
        spool = tmp_path / "data" / "spool"
        wait_until(lambda: not any(spool.iterdir()), "the worker's start leaves files")
        spool.rmdir()
        spool.touch()
        hurt_postgres.stop()
        try:
            reply = workers.chat()
            assert not reply.done
            assert reply.error["code"] == "persistence_failed"
            line = workers.finished_line(reply.id)
            assert (line["outcome"], line["kept"]) == ("persistence_failed", None)
            paid_for = groq.seen()["requests"]
            refused = workers.chat()
            assert (refused.status, refused.error["code"]) == (503, "rows_unavailable")
            assert groq.seen()["requests"] == paid_for
        finally:
            hurt_postgres.start()
        spool.unlink()

        def completed() -> str:
            reply = workers.chat()
            return reply.id if reply.done else ""

        all_are_rows_in_the_end(workers, [wait_until(completed, "it never came back")])

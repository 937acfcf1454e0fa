"""Chats during outages of the database, and where their rows are."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tests.support.database import query
from tests.support.scrape import scrape
from tests.support.service import http_client
from tests.support.serving import Workers
from tests.support.waiting import wait_until

ENV = {"GROQ_API_KEY": "test", "COMMIT_TIMEOUT_S": "0.5", "DRAIN_TIMEOUT_S": "1", "MAX_BODY_BYTES": "200000"}


def chat(workers: Workers, count: int = 1, content: str = "Hello") -> list[str]:
    """Runs chats on separate connections; returns their ids once all have a receipt."""

    def one(_: int) -> str:
        with http_client() as client:
            reply = replace(workers, http=client).chat({"messages": [{"role": "user", "content": content}]})
        assert reply.done, reply.body[-300:]
        return reply.id

    with ThreadPoolExecutor(min(count, 16)) as pool:
        return list(pool.map(one, range(count)))


def readiness(workers: Workers) -> dict[str, object]:
    body: dict[str, object] = workers.http.get(f"{workers.url}/readyz").json()
    return body


def outbox_rows(workers: Workers) -> float:
    """Every worker reports the rows of the machine's outbox, once a second."""
    samples = scrape(workers.http, *workers.ports)
    return max(sample.value for sample in samples if sample.name == "chat_log_outbox_rows")


def wait_until_stored(workers: Workers, ids: list[str], seconds: float = 60) -> None:
    """Waits until each chat has exactly one row and the outbox is empty."""
    wait_until(
        lambda: not outbox_rows(workers) and set(stored_ids(workers)) >= set(ids), "rows are not stored", seconds
    )
    assert sorted(stored_ids(workers)) == sorted(ids)


def stored_ids(workers: Workers) -> list[str]:
    return [str(row["id"]) for row in query(workers.database_url, "SELECT id FROM chat_logs")]


def replace_by_file(outbox: Path) -> None:
    """Puts a file in the place of the folder; a worker may create the folder again between the two steps."""
    for number in itertools.count():
        outbox.rename(outbox.with_name(f"outbox that is gone {number}"))  # atomic: a worker may create files in it now
        with suppress(FileExistsError):
            outbox.touch(exist_ok=False)
            return

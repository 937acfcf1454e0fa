"""Chats while the database is hurt, and what becomes of their rows."""

from concurrent.futures import ThreadPoolExecutor

from tests.support.database import query
from tests.support.http import client as http_client
from tests.support.scrape import scrape
from tests.support.serving import Workers
from tests.support.waiting import wait_until

ENV = {"GROQ_API_KEY": "test", "COMMIT_TIMEOUT_S": "0.5", "DRAIN_TIMEOUT_S": "1", "MAX_BODY_BYTES": "200000"}


def chat(workers: Workers, count: int = 1, content: str = "Hello") -> list[str]:
    """So many chats on connections of their own, over both workers; the ids of those with a receipt."""

    def one(_: int) -> str:
        with http_client() as client:
            body = {"messages": [{"role": "user", "content": content}]}
            reply = Workers(**{**vars(workers), "http": client}).chat(body)
        assert reply.done, reply.body[-300:]
        return reply.id

    with ThreadPoolExecutor(min(count, 16)) as pool:
        return list(pool.map(one, range(count)))


def ready(workers: Workers) -> dict[str, object]:
    answer: dict[str, object] = workers.http.get(f"{workers.url}/readyz").json()
    return answer


def waiting(workers: Workers) -> float:
    """Rows in the outbox, which all workers report: they look at it once a second."""
    samples = scrape(workers.http, *workers.ports)
    return max(sample.value for sample in samples if sample.name == "chat_log_outbox_rows")


def all_are_rows_in_the_end(workers: Workers, ids: list[str], seconds: float = 60) -> None:
    """Each once, and nothing waits any longer."""
    wait_until(lambda: not waiting(workers) and set(rows(workers)) >= set(ids), "rows wait", seconds)
    assert sorted(rows(workers)) == sorted(ids)


def rows(workers: Workers) -> list[str]:
    return [str(row["id"]) for row in query(workers.database_url, "SELECT id FROM chat_logs")]

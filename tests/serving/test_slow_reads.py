"""Reads of stored chats that take long, and the commits beside them, on PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.database import execute, query
from tests.support.service import DROP_IN, SimulatedGroq, service_before
from tests.support.shared import SharedResources
from tests.support.waiting import wait_until

_READING = "SELECT count(*) AS number FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT chat_logs%'"


def test_commit_does_not_wait_for_slow_reads(groq: SimulatedGroq, tmp_path: Path, shared: SharedResources) -> None:
    """Each row takes a second to read, and an insert does not."""
    url = shared.migrated_database("postgres", tmp_path)
    with (
        service_before(groq, tmp_path, {"READ_TIMEOUT_S": "5"}, database_url=url) as service,
        ThreadPoolExecutor(4) as threads,
    ):
        for _ in range(10):
            assert service.chat().done
        execute(url, "ALTER TABLE chat_logs RENAME TO stored")
        execute(url, "CREATE VIEW chat_logs AS SELECT * FROM stored WHERE pg_sleep(1) IS NOT NULL")
        reads = [threads.submit(service.http.get, service.url + DROP_IN) for _ in range(4)]
        wait_until(lambda: query(url, _READING)[0]["number"] == 2, "no two reads are running")
        reply = service.chat()
        assert not any(read.done() for read in reads)
        assert reply.done
        assert service.finished_line(reply.id)["stored_in"] == "database"
        for read in reads:
            response = read.result()
            assert (response.status_code, response.json()["error"]["code"]) == (503, "rows_unavailable")
            assert response.headers["retry-after"] == "2"
        stopped = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT chat_logs%'"
        wait_until(lambda: not query(url, stopped), "a read is still running")

"""Reads of stored chats that take long, and the commits beside them; clients that do not read their answers."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.database import execute, query
from tests.support.raw import HEALTH, connect, receive_until
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


def test_answers_that_are_not_read_hold_the_share_of_one_client(groq: SimulatedGroq, tmp_path: Path) -> None:
    limits = {"MAX_BODY_BYTES": "400000", "MAX_BODY_BYTES_IN_FLIGHT": "1000000", "CLIENT_BUFFER_BYTES": "4096"}
    with service_before(groq, tmp_path, limits) as service:
        reply = service.chat({"messages": [{"role": "user", "content": "x" * 300_000}]})
        path = f"{DROP_IN}/{reply.id}/messages"
        assert len(service.http.get(service.url + path).content) > 300_000
        with connect(service.url, receive_buffer=4096) as slow:
            slow.sendall(HEALTH.replace(b"/healthz", path.encode()) + b"\r\n")
            receive_until(slow, b"\r\n\r\n")
            refused = service.http.get(service.url + path)
            assert (refused.status_code, refused.json()["error"]["code"]) == (429, "body_bytes_exceeded")
        wait_until(lambda: service.http.get(service.url + path).status_code == 200, "the memory is not free again")


def test_client_text_in_tracestate_is_not_logged(groq: SimulatedGroq, tmp_path: Path) -> None:
    with service_before(groq, tmp_path, {}) as service:
        parent = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
        for _ in range(20):
            service.http.get(service.url + "/v1/models", headers=parent | {"tracestate": "THE-TEXT-OF-A-CLIENT"})
        assert service.chat().done
        assert "THE-TEXT-OF-A-CLIENT" not in service.program.output

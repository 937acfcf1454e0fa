"""gunicorn's workers: how connections are distributed, how workers are replaced and how they stop."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.serving.conftest import StartWorkers
from tests.support.database import query
from tests.support.raw import CHAT, connect, receive_until
from tests.support.scrape import scrape, total
from tests.support.service import HELLO, PATH, SimulatedGroq, http_client
from tests.support.serving import Workers


@contextmanager
def streaming(workers: Workers, timeout_s: float = 60) -> Iterator[tuple[str, Iterator[bytes]]]:
    """A chat whose first bytes have arrived: its id and the rest of its stream."""
    with (
        http_client(timeout_s) as client,
        client.stream("POST", workers.url + PATH, json=HELLO) as response,
    ):
        pieces = response.iter_raw()
        next(pieces)
        yield response.headers["x-request-id"], pieces


def test_connections_are_distributed_over_the_workers(workers: Workers) -> None:
    """By the kernel: each worker has its own listening socket."""
    for _ in range(60):
        with http_client() as client:
            client.get(f"{workers.url}/readyz").raise_for_status()
            client.post(workers.url + PATH, json={"messages": []})
    shares = [
        total(scrape(workers.http, port), "chat_requests_total", outcome="invalid_request") for port in workers.ports
    ]
    assert sum(shares) == 60
    assert min(shares) >= 10
    assert listeners(int(workers.url.rpartition(":")[2])) == workers.count


def listeners(port: int) -> int:
    """The number of listening sockets, from the kernel's table."""
    table = Path("/proc/net/tcp")
    if not table.exists():
        pytest.skip("needs /proc")
    sockets = [line.split() for line in table.read_text().splitlines()[1:]]
    return sum(address.endswith(f":{port:04X}") and state == "0A" for _, address, _, state, *_ in sockets)


def test_killed_worker_is_replaced_on_its_port_and_others_continue(workers: Workers, groq: SimulatedGroq) -> None:
    first, second = workers.ports
    for _ in range(20):
        with http_client() as client:
            client.post(workers.url + PATH, json={"messages": []})
    before = {port: total(scrape(workers.http, port), "chat_requests_total") for port in (first, second)}
    killed = workers.pid(first)
    workers.kill(first, signal.SIGKILL)
    workers.wait_for_pid(first, other_than=killed)
    workers.wait_for_ports(first, second)
    assert total(scrape(workers.http, first), "chat_requests_total") == 0
    assert total(scrape(workers.http, second), "chat_requests_total") == before[second]
    assert [workers.chat().done for _ in range(5)] == [True] * 5


def test_reload_lets_old_workers_finish_while_new_ones_start(workers: Workers, groq: SimulatedGroq) -> None:
    groq.fail({"silence_s": 0.7, "after_tokens": 5})
    old = workers.ports
    with streaming(workers) as (_, pieces):
        groq.recover()
        workers.program.signal(signal.SIGHUP)
        workers.wait_for_ports(*(port + workers.count for port in old))
        assert b"".join(pieces).endswith(b"data: [DONE]\n\n")
    assert workers.chat().done
    samples = scrape(workers.http, *workers.ports)
    assert total(samples, "chat_requests_total", outcome="completed") == 1
    assert total(samples, "app_workers") == workers.count**2  # each reports the number that is configured


def test_stop_finishes_short_streams_and_ends_long_ones(workers: Workers, groq: SimulatedGroq) -> None:
    """One ends within the drain; the other one would take a minute."""
    groq.fail({"silence_s": 0.5, "after_tokens": 5, "times": 1}, {"silence_s": 60, "after_tokens": 5})
    with streaming(workers) as (short_id, short), streaming(workers) as (long_id, long):
        workers.program.signal(signal.SIGTERM)
        assert b"".join(short).endswith(b"data: [DONE]\n\n")
        last = b"".join(long).split(b"\n\n")[-2]
    assert json.loads(last.split(b"data: ")[1])["error"]["code"] == "server_draining"
    assert workers.program.wait() == 0
    assert "SIGKILL" not in workers.program.output
    rows = query(workers.database_url, "SELECT id, outcome, error_code, response FROM chat_logs")
    outcomes = {str(row["id"]): (row["outcome"], row["error_code"]) for row in rows}
    assert outcomes == {short_id: ("completed", None), long_id: ("draining", "server_draining")}


def test_sigint_ends_streams_without_a_drain_and_stores_their_rows(
    start_workers: StartWorkers, groq: SimulatedGroq
) -> None:
    """Ctrl-C at `make serve`: gunicorn sends its workers SIGQUIT."""
    groq.fail({"silence_s": 60, "after_tokens": 5})
    with start_workers({"DRAIN_TIMEOUT_S": "50", "INTER_TOKEN_TIMEOUT_S": "60"}) as workers:
        with streaming(workers, timeout_s=20) as (chat_id, pieces):  # less than the drain would take
            workers.program.signal(signal.SIGINT)
            assert b"server_draining" in b"".join(pieces)
        assert workers.program.wait() == 0
    assert "SIGKILL" not in workers.program.output
    (row,) = query(workers.database_url, "SELECT id, outcome FROM chat_logs")
    assert (str(row["id"]), row["outcome"]) == (chat_id, "draining")


def test_unfinished_upload_is_refused_when_the_drain_starts(workers: Workers) -> None:
    """It would delay the end of its worker, and be cut without a response."""
    with connect(workers.url) as client:
        client.sendall(CHAT + b"expect: 100-continue\r\ncontent-length: 100\r\n\r\n{")
        receive_until(client, b"100 Continue\r\n\r\n")
        workers.program.signal(signal.SIGTERM)
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'"code":"server_draining"' in answer
    assert workers.program.wait() == 0
    assert "timeout graceful shutdown exceeded" not in workers.program.output


def test_sigusr2_writes_what_a_worker_executes(workers: Workers) -> None:
    port = workers.ports[0]
    pid = workers.pid(port)
    workers.kill(port, signal.SIGUSR2)
    assert workers.program.line(lambda line: "most recent call first" in line)
    for _ in range(200):  # while its other threads run: each look at `ports` is a scrape
        workers.kill(port, signal.SIGUSR2)
        assert port in workers.ports
    assert workers.pid(port) == pid


def test_sighup_to_a_worker_is_ignored(workers: Workers, groq: SimulatedGroq) -> None:
    """`pkill -HUP gunicorn` reaches all processes; only the master reloads."""
    groq.fail({"silence_s": 0.7, "after_tokens": 5})
    before = {port: workers.pid(port) for port in workers.ports}
    with streaming(workers) as (_, pieces):
        for port in before:
            workers.kill(port, signal.SIGHUP)
        assert b"".join(pieces).endswith(b"data: [DONE]\n\n")
    assert {port: workers.pid(port) for port in workers.ports} == before


def test_worker_with_a_long_drain_is_not_killed(start_workers: StartWorkers, groq: SimulatedGroq) -> None:
    """Gunicorn kills a worker without a heartbeat for 30 s; here, for 2 s. The drain is longer."""
    groq.fail({"silence_s": 5, "after_tokens": 5})
    with start_workers({"DRAIN_TIMEOUT_S": "20", "GUNICORN_CMD_ARGS": "--timeout=2"}, workers=1) as workers:
        with streaming(workers) as (_, pieces):
            workers.kill(workers.metrics_base, signal.SIGTERM)
            assert b"".join(pieces).endswith(b"data: [DONE]\n\n")
        assert "WORKER TIMEOUT" not in workers.program.output


def test_reload_does_not_read_the_env_file(workers: Workers, tmp_path: Path) -> None:
    """The settings that were checked at the start remain."""
    (tmp_path / ".env").write_text("DRAIN_TIMEOUT_S=long\nMAX_BODY_BYTES=none\n")
    old = workers.ports
    workers.program.signal(signal.SIGHUP)
    workers.wait_for_ports(*(port + workers.count for port in old))
    assert workers.chat().done


def test_public_port_has_no_metrics_and_home_no_files(workers: Workers, tmp_path: Path) -> None:
    assert workers.http.get(f"{workers.url}/metrics").status_code == 404
    assert not list(tmp_path.rglob("*.ctl"))
    assert not (tmp_path / ".gunicorn").exists()


def test_log_lines_of_every_process_have_the_same_fields(workers: Workers) -> None:
    assert workers.chat().done
    workers.program.signal(signal.SIGTERM)
    workers.program.wait()
    lines = [json.loads(line) for line in workers.program.lines]
    assert not [line for line in lines if "HTTP/1.1" in line["event"]]  # no access log
    fields = {"event", "level", "timestamp", "service.name", "service.version", "deployment.environment.name", "worker"}
    assert all(fields <= set(line) for line in lines)
    assert {line["worker"] for line in lines} == {"master", "0", "1"}
    assert {line.get("logger") for line in lines} >= {"gunicorn.error"}

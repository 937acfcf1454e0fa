"""gunicorn and its workers: how connections spread, how workers come and go, and how all of it stops."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.serving.conftest import ENV
from tests.support.database import query
from tests.support.http import client as http_client
from tests.support.raw import CHAT, connect, receive_until
from tests.support.scrape import scrape, total
from tests.support.service import HELLO, PATH, SimulatedGroq
from tests.support.serving import Workers, serving


@contextmanager
def streaming(workers: Workers, patience_s: float = 60) -> Iterator[tuple[str, Iterator[bytes]]]:
    """A chat whose first bytes have come, on a connection of its own: its id, and what is still to come."""
    with (
        http_client(patience_s) as client,
        client.stream("POST", workers.url + PATH, json=HELLO) as response,
    ):
        pieces = response.iter_raw()
        next(pieces)
        yield response.headers["x-request-id"], pieces


def test_connections_spread_over_the_workers(workers: Workers) -> None:
    """A burst of connections is no one worker's: the kernel deals them out."""
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
    """How many sockets listen there, as the kernel tells."""
    table = Path("/proc/net/tcp")
    if not table.exists():
        pytest.skip("only Linux tells")
    sockets = [line.split() for line in table.read_text().splitlines()[1:]]
    return sum(address.endswith(f":{port:04X}") and state == "0A" for _, address, _, state, *_ in sockets)


def test_a_worker_that_is_killed_comes_back_in_its_place_and_the_others_do_not_notice(
    workers: Workers, groq: SimulatedGroq
) -> None:
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


def test_a_reload_lets_the_old_workers_finish_beside_the_new_ones(workers: Workers, groq: SimulatedGroq) -> None:
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
    assert total(samples, "app_workers") == workers.count**2  # each of them tells how many there should be


def test_told_to_stop_it_finishes_what_fits_ends_the_rest_and_exits_well(workers: Workers, groq: SimulatedGroq) -> None:
    """One chat ends within the drain; the other one would last a minute."""
    groq.fail({"silence_s": 0.5, "after_tokens": 5, "times": 1}, {"silence_s": 60, "after_tokens": 5})
    with streaming(workers) as (short_id, short), streaming(workers) as (long_id, long):
        workers.program.signal(signal.SIGTERM)
        assert b"".join(short).endswith(b"data: [DONE]\n\n")
        last = b"".join(long).split(b"\n\n")[-2]
    assert json.loads(last.split(b"data: ")[1])["error"]["code"] == "server_draining"
    assert workers.program.wait() == 0
    assert "SIGKILL" not in workers.program.output
    rows = query(workers.database_url, "SELECT id, outcome, error_code, response FROM chat_logs")
    kept = {str(row["id"]): (row["outcome"], row["error_code"]) for row in rows}
    assert kept == {short_id: ("completed", None), long_id: ("draining", "server_draining")}


def test_in_a_hurry_it_ends_streams_at_once_and_keeps_their_rows(
    chats_database: str, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path
) -> None:
    """Ctrl-C at `make serve`: gunicorn asks its workers to be quick, and the drain is cut short."""
    groq.fail({"silence_s": 60, "after_tokens": 5})
    env = {**ENV, "GROQ_BASE_URL": groq.url, "DRAIN_TIMEOUT_S": "50", "INTER_TOKEN_TIMEOUT_S": "60"}
    with serving(tmp_path, http, env, database_url=chats_database) as workers:
        with streaming(workers, patience_s=20) as (chat_id, pieces):  # less than the drain would take
            workers.program.signal(signal.SIGINT)
            assert b"server_draining" in b"".join(pieces)
        assert workers.program.wait() == 0
    assert "SIGKILL" not in workers.program.output
    (row,) = query(workers.database_url, "SELECT id, outcome FROM chat_logs")
    assert (str(row["id"]), row["outcome"]) == (chat_id, "draining")


def test_an_upload_that_does_not_end_is_told_that_the_server_stops(workers: Workers) -> None:
    """It would hold its worker up, and be cut off without a word."""
    with connect(workers.url) as client:
        client.sendall(CHAT + b"expect: 100-continue\r\ncontent-length: 100\r\n\r\n{")
        receive_until(client, b"100 Continue\r\n\r\n")
        workers.program.signal(signal.SIGTERM)
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'"code":"server_draining"' in answer
    assert workers.program.wait() == 0
    assert "timeout graceful shutdown exceeded" not in workers.program.output


def test_a_hang_up_of_the_terminal_costs_no_chat(workers: Workers, groq: SimulatedGroq) -> None:
    """`pkill -HUP gunicorn` tells everyone; it is the master's business alone."""
    groq.fail({"silence_s": 0.7, "after_tokens": 5})
    with streaming(workers) as (_, pieces):
        for port in workers.ports:
            workers.kill(port, signal.SIGHUP)
        assert b"".join(pieces).endswith(b"data: [DONE]\n\n")


def test_a_worker_that_drains_for_long_is_not_taken_for_dead(
    chats_database: str, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path
) -> None:
    """Gunicorn replaces a worker that it has not heard of for 30 s; here, for 2. A drain is longer."""
    groq.fail({"silence_s": 5, "after_tokens": 5})
    env = {**ENV, "GROQ_BASE_URL": groq.url, "DRAIN_TIMEOUT_S": "20", "GUNICORN_CMD_ARGS": "--timeout=2"}
    with serving(tmp_path, http, env, database_url=chats_database, workers=1) as workers:
        with streaming(workers) as (_, pieces):
            workers.kill(workers.metrics_base, signal.SIGTERM)
            assert b"".join(pieces).endswith(b"data: [DONE]\n\n")
        assert "WORKER TIMEOUT" not in workers.program.output


def test_a_reload_is_not_ended_by_what_was_written_to_the_env_file(workers: Workers, tmp_path: Path) -> None:
    """The settings are those that were checked at the start."""
    (tmp_path / ".env").write_text("DRAIN_TIMEOUT_S=long\nMAX_BODY_BYTES=none\n")
    old = workers.ports
    workers.program.signal(signal.SIGHUP)
    workers.wait_for_ports(*(port + workers.count for port in old))
    assert workers.chat().done


def test_metrics_are_never_on_the_public_port_and_nothing_is_left_in_the_home(workers: Workers, tmp_path: Path) -> None:
    assert workers.http.get(f"{workers.url}/metrics").status_code == 404
    assert not list(tmp_path.rglob("*.ctl"))
    assert not (tmp_path / ".gunicorn").exists()


def test_every_line_of_every_process_has_the_same_shape(workers: Workers) -> None:
    assert workers.chat().done
    workers.program.signal(signal.SIGTERM)
    workers.program.wait()
    lines = [json.loads(line) for line in workers.program.lines]
    assert not [line for line in lines if "HTTP/1.1" in line["event"]]  # no access log: a chat has its own line
    shape = {"event", "level", "timestamp", "service", "version", "environment", "worker"}
    assert all(shape <= set(line) for line in lines)
    assert {line["worker"] for line in lines} == {"master", 0, 1}
    assert {line.get("logger") for line in lines} >= {"gunicorn.error"}

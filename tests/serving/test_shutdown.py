"""Stop and reload under load: every stream ends with `[DONE]` or an error, and has its row."""

import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import httpx2
import pytest

from tests.serving.conftest import StartWorkers
from tests.support.database import query
from tests.support.otlp import Collector
from tests.support.raw import HEALTH, connect, receive_one
from tests.support.service import HELLO, PATH, Reply, SimulatedGroq, http_client
from tests.support.serving import Workers
from tests.support.waiting import wait_until

CLIENTS = [8, pytest.param(30, marks=pytest.mark.long)]
"""Concurrent clients."""

Results = list[str | Reply]
"""For each request of a client its response, or `cut` or `unanswered`."""


@pytest.fixture
def workers(start_workers: StartWorkers, collector: Collector) -> Iterator[Workers]:
    with start_workers({"DRAIN_TIMEOUT_S": "2", "DRAIN_DELAY_S": "1", **collector.env}) as running:
        yield running


def chat_repeatedly(workers: Workers, stop: Event, seed: int, results: Results) -> None:
    """One client. Those with an odd seed open a connection for each chat."""
    client = http_client()
    rng = random.Random(seed)
    while not stop.is_set():
        if seed % 2:
            client.close()
            client = http_client()
        try:
            response = client.post(workers.url + PATH, json=HELLO)
            results.append(Reply(response.status_code, response.headers, response.content))
        except httpx2.RemoteProtocolError as exc:
            results.append("cut" if "incomplete" in str(exc) else "unanswered")
        except httpx2.TransportError:
            results.append("unanswered")
        stop.wait(rng.uniform(0, 0.05))
    client.close()


def under_load(workers: Workers, clients: int, how: signal.Signals, wait: Callable[[], object]) -> Results:
    """Sends the signal under load; returns the results of all clients until each has one from after `wait`."""
    stop = Event()
    results: list[Results] = [[] for _ in range(clients)]
    with ThreadPoolExecutor(clients) as pool:
        clients_running = [pool.submit(chat_repeatedly, workers, stop, seed, mine) for seed, mine in enumerate(results)]
        try:
            wait_until(lambda: sum(map(len, results)) >= 4 * clients, "too few chats are answered")
            workers.program.signal(how)
            wait()
            before = [len(each) for each in results]
            wait_until(
                lambda: all(len(each) > count for each, count in zip(results, before, strict=True)),
                "a client has no result",
            )
        finally:
            stop.set()
        for client in clients_running:
            client.result()
    return [result for each in results for result in each]


def count_by_end(results: Results) -> Counter[str]:
    """`done`, or the error."""
    return Counter(
        result if isinstance(result, str) else "done" if result.done else str(result.error["code"])
        for result in results
    )


def assert_every_stream_has_a_row(workers: Workers, results: Results) -> None:
    rows = query(workers.database_url, "SELECT id, outcome FROM chat_logs")
    stored = {str(row["id"]): row["outcome"] for row in rows}
    started = {reply.id: reply.done for reply in results if isinstance(reply, Reply) and reply.status == 200}
    assert {chat_id: stored.get(chat_id) for chat_id in started} == {
        chat_id: "completed" if done else "draining" for chat_id, done in started.items()
    }


@pytest.mark.parametrize("clients", CLIENTS)
def test_stop_under_load(workers: Workers, groq: SimulatedGroq, collector: Collector, clients: int) -> None:
    """Some chats end within the drain, some do not, and new ones are not accepted."""
    groq.fail({"silence_s": 14, "after_tokens": 5, "times": clients // 4}, {"silence_s": 0.3, "after_tokens": 5})
    results = under_load(workers, clients, signal.SIGTERM, workers.program.wait)
    assert workers.program.wait() == 0
    assert "SIGKILL" not in workers.program.output
    counted = count_by_end(results)
    assert set(counted) <= {"done", "server_draining", "unanswered"}
    assert all(counted[kind] for kind in ("done", "server_draining", "unanswered"))
    assert_every_stream_has_a_row(workers, results)
    rows = query(workers.database_url, "SELECT trace_id FROM chat_logs")
    traced = collector.wait_for(lambda span: "chat.id" in span.attributes, len(rows))
    assert {span.trace_id for span in traced} == {row["trace_id"] for row in rows}
    lines = [line for line in workers.program.lines if '"chat.finished"' in line]
    assert len(lines) == len(rows)


@pytest.mark.parametrize("clients", CLIENTS)
def test_reload_under_load(workers: Workers, groq: SimulatedGroq, clients: int) -> None:
    """Old workers finish while new ones start; every new chat is accepted."""
    groq.fail({"silence_s": 0.3, "after_tokens": 5, "probability": 0.3})
    successors = [port + workers.count for port in workers.ports]
    results = under_load(workers, clients, signal.SIGHUP, lambda: workers.wait_for_ports(*successors))
    counted = count_by_end(results)
    assert counted["done"] > clients
    assert counted["cut"] == 0
    assert counted["server_draining"] + counted["unanswered"] <= clients  # on connections of old workers
    assert_every_stream_has_a_row(workers, results)
    assert workers.chat().done


def test_drain_accepts_no_connections_and_closes_idle_ones(start_workers: StartWorkers, groq: SimulatedGroq) -> None:
    groq.fail({"silence_s": 4, "after_tokens": 5})
    before = groq.seen()["requests"]
    with (
        start_workers({"DRAIN_TIMEOUT_S": "15"}) as workers,
        connect(workers.url) as idle,
        ThreadPoolExecutor(1) as pool,
    ):
        idle.sendall(HEALTH + b"\r\n")
        assert receive_one(idle) == 200
        last = pool.submit(workers.chat)
        wait_until(lambda: groq.seen()["requests"] > before, "the chat does not start")
        workers.program.signal(signal.SIGTERM)
        wait_until(lambda: is_refused(workers), "it still listens")
        assert not last.done()
        assert idle.recv(1000) == b""
        assert last.result().done


def is_refused(workers: Workers) -> bool:
    try:
        connect(workers.url).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # it was in the backlog of a listener that was closed
        return False
    return False

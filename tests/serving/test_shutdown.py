"""The service is told to stop, or to reload, while many chats run: none of them ends without a word, or a row."""

import random
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import httpx2
import pytest

from tests.serving.conftest import ENV
from tests.support.database import query
from tests.support.otlp import Collector
from tests.support.service import HELLO, PATH, Reply, SimulatedGroq
from tests.support.serving import Workers, serving

CLIENTS = 30


@pytest.fixture
def workers(
    chats_database: str, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path, collector: Collector
) -> Iterator[Workers]:
    env = {**ENV, "GROQ_BASE_URL": groq.url, "DRAIN_TIMEOUT_S": "2", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    with serving(tmp_path, http, env, database_url=chats_database) as running:
        yield running


def ask_on_and_on(workers: Workers, over: Event, seed: int) -> list[str | Reply]:
    """One client: half of them keep their connection. What it got each time; a word where there was no answer."""
    answers: list[str | Reply] = []
    client = httpx2.Client(timeout=30, trust_env=False)
    rng = random.Random(seed)
    while not over.is_set():
        if seed % 2:
            client.close()
            client = httpx2.Client(timeout=30, trust_env=False)
        try:
            response = client.post(workers.url + PATH, json=HELLO)
            answers.append(Reply(response.status_code, response.headers, response.content))
        except httpx2.RemoteProtocolError as exc:
            answers.append("cut" if "incomplete" in str(exc) else "unanswered")
        except httpx2.TransportError:
            answers.append("unanswered")
        time.sleep(rng.uniform(0, 0.05))
    client.close()
    return answers


def under_load(workers: Workers, how: signal.Signals, seconds: float) -> list[str | Reply]:
    over = Event()
    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(ask_on_and_on, workers, over, seed) for seed in range(CLIENTS)]
        time.sleep(2)
        workers.program.signal(how)
        time.sleep(seconds)
        over.set()
        return [answer for client in clients for answer in client.result()]


def kinds(answers: list[str | Reply]) -> Counter[str]:
    """`[DONE]`, or what was said instead."""
    return Counter(
        answer if isinstance(answer, str) else "done" if answer.done else str(answer.error["code"])
        for answer in answers
    )


def every_stream_has_its_row(workers: Workers, answers: list[str | Reply]) -> None:
    rows = query(workers.database_url, "SELECT id, outcome FROM chat_logs")
    kept = {str(row["id"]): row["outcome"] for row in rows}
    began = {reply.id: reply.done for reply in answers if isinstance(reply, Reply) and reply.status == 200}
    assert {chat_id: kept.get(chat_id) for chat_id in began} == {
        chat_id: "completed" if done else "draining" for chat_id, done in began.items()
    }


def test_stopped_under_load(workers: Workers, groq: SimulatedGroq, collector: Collector) -> None:
    """Some chats fit into the drain, some do not; new ones find nobody."""
    groq.fail({"silence_s": 20, "after_tokens": 5, "probability": 0.15})
    answers = under_load(workers, signal.SIGTERM, 4)
    assert workers.program.wait() == 0
    assert "SIGKILL" not in workers.program.output
    counted = kinds(answers)
    assert set(counted) <= {"done", "server_draining", "unanswered"}
    assert all(counted[kind] for kind in ("done", "server_draining", "unanswered"))
    every_stream_has_its_row(workers, answers)
    rows = query(workers.database_url, "SELECT trace_id FROM chat_logs")
    traced = collector.wait_for(lambda span: "chat.id" in span.attributes, len(rows))
    assert {span.trace_id for span in traced} == {row["trace_id"] for row in rows}
    lines = [line for line in workers.program.lines if '"chat.finished"' in line]
    assert len(lines) == len(rows)


def test_reloaded_under_load(workers: Workers, groq: SimulatedGroq) -> None:
    """Old workers finish beside the new ones, and every new chat finds one of them."""
    groq.fail({"silence_s": 0.3, "after_tokens": 5, "probability": 0.3})
    answers = under_load(workers, signal.SIGHUP, 5)
    counted = kinds(answers)
    assert counted["done"] > 5 * CLIENTS
    assert counted["cut"] == 0
    assert counted["server_draining"] + counted["unanswered"] <= CLIENTS  # those that met an old worker at its door
    every_stream_has_its_row(workers, answers)
    assert workers.chat().done


def test_nobody_listens_while_the_last_chats_run(workers: Workers, groq: SimulatedGroq) -> None:
    """A new connection is refused, and one that is open is closed or told."""
    groq.fail({"silence_s": 1.5, "after_tokens": 5})
    address = ("127.0.0.1", int(workers.url.rpartition(":")[2]))
    with ThreadPoolExecutor(1) as pool, socket.create_connection(address, timeout=10) as idle:
        last = pool.submit(workers.chat)
        time.sleep(0.5)
        workers.program.signal(signal.SIGTERM)
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(address, timeout=5).close()
            except ConnectionRefusedError:
                break
            assert time.monotonic() < deadline, "it still listens"
            time.sleep(0.02)
        assert not last.done()
        assert idle.recv(1000) == b""
        assert last.result().done

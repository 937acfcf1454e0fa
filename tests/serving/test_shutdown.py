"""The service is told to stop, or to reload, while many chats run: none of them ends without a word, or a row."""

import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import httpx2
import pytest

from tests.serving.conftest import ENV
from tests.support.database import query
from tests.support.http import client as http_client
from tests.support.otlp import Collector
from tests.support.raw import HEALTH, connect, receive_one
from tests.support.service import HELLO, PATH, Reply, SimulatedGroq
from tests.support.serving import Workers, serving
from tests.support.waiting import wait_until

CLIENTS = [8, pytest.param(30, marks=pytest.mark.long)]
"""How many ask at once."""

Answers = list[str | Reply]
"""What a client got each time; a word where there was no answer."""


@pytest.fixture
def workers(
    chats_database: str, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path, collector: Collector
) -> Iterator[Workers]:
    env = {**ENV, "GROQ_BASE_URL": groq.url, "DRAIN_TIMEOUT_S": "2", **collector.env}
    with serving(tmp_path, http, env, database_url=chats_database) as running:
        yield running


def ask_on_and_on(workers: Workers, over: Event, seed: int, answers: Answers) -> None:
    """One client: half of them keep their connection."""
    client = http_client()
    rng = random.Random(seed)
    while not over.is_set():
        if seed % 2:
            client.close()
            client = http_client()
        try:
            response = client.post(workers.url + PATH, json=HELLO)
            answers.append(Reply(response.status_code, response.headers, response.content))
        except httpx2.RemoteProtocolError as exc:
            answers.append("cut" if "incomplete" in str(exc) else "unanswered")
        except httpx2.TransportError:
            answers.append("unanswered")
        over.wait(rng.uniform(0, 0.05))
    client.close()


def under_load(workers: Workers, clients: int, how: signal.Signals, has_happened: Callable[[], object]) -> Answers:
    """All answers from before the signal until each client has had one after what it leads to."""
    over = Event()
    answers: list[Answers] = [[] for _ in range(clients)]
    with ThreadPoolExecutor(clients) as pool:
        asking = [pool.submit(ask_on_and_on, workers, over, seed, mine) for seed, mine in enumerate(answers)]
        try:
            wait_until(lambda: sum(map(len, answers)) >= 4 * clients, "few chats are answered")
            workers.program.signal(how)
            has_happened()
            before = [len(each) for each in answers]
            wait_until(
                lambda: all(len(each) > count for each, count in zip(answers, before, strict=True)),
                "a client has no answer",
            )
        finally:
            over.set()
        for client in asking:
            client.result()
    return [answer for each in answers for answer in each]


def kinds(answers: Answers) -> Counter[str]:
    """`[DONE]`, or what was said instead."""
    return Counter(
        answer if isinstance(answer, str) else "done" if answer.done else str(answer.error["code"])
        for answer in answers
    )


def every_stream_has_its_row(workers: Workers, answers: Answers) -> None:
    rows = query(workers.database_url, "SELECT id, outcome FROM chat_logs")
    kept = {str(row["id"]): row["outcome"] for row in rows}
    began = {reply.id: reply.done for reply in answers if isinstance(reply, Reply) and reply.status == 200}
    assert {chat_id: kept.get(chat_id) for chat_id in began} == {
        chat_id: "completed" if done else "draining" for chat_id, done in began.items()
    }


@pytest.mark.parametrize("clients", CLIENTS)
def test_stopped_under_load(workers: Workers, groq: SimulatedGroq, collector: Collector, clients: int) -> None:
    """Some chats fit into the drain, some do not; new ones find nobody."""
    groq.fail({"silence_s": 14, "after_tokens": 5, "times": clients // 4}, {"silence_s": 0.3, "after_tokens": 5})
    answers = under_load(workers, clients, signal.SIGTERM, workers.program.wait)
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


@pytest.mark.parametrize("clients", CLIENTS)
def test_reloaded_under_load(workers: Workers, groq: SimulatedGroq, clients: int) -> None:
    """Old workers finish beside the new ones, and every new chat finds one of them."""
    groq.fail({"silence_s": 0.3, "after_tokens": 5, "probability": 0.3})
    successors = [port + workers.count for port in workers.ports]
    answers = under_load(workers, clients, signal.SIGHUP, lambda: workers.wait_for_ports(*successors))
    counted = kinds(answers)
    assert counted["done"] > clients
    assert counted["cut"] == 0
    assert counted["server_draining"] + counted["unanswered"] <= clients  # those that met an old worker at its door
    every_stream_has_its_row(workers, answers)
    assert workers.chat().done


def test_nobody_listens_while_the_last_chats_run(
    chats_database: str, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path
) -> None:
    """A new connection is refused, and one that is open is closed or told."""
    groq.fail({"silence_s": 4, "after_tokens": 5})
    before = groq.seen()["requests"]
    env = {**ENV, "GROQ_BASE_URL": groq.url, "DRAIN_TIMEOUT_S": "15"}
    with (
        serving(tmp_path, http, env, database_url=chats_database) as workers,
        connect(workers.url) as idle,
        ThreadPoolExecutor(1) as pool,
    ):
        idle.sendall(HEALTH + b"\r\n")
        assert receive_one(idle) == 200
        last = pool.submit(workers.chat)
        wait_until(lambda: groq.seen()["requests"] > before, "the chat does not begin")
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
    except ConnectionResetError:  # it had been in the queue of a listener that was closed
        return False
    return False

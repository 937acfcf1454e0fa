"""Timeouts, slots, fallback and buffers of chats, over real processes."""

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest

from tests.support.scrape import scrape, total
from tests.support.service import HELLO, PATH, Reply, Service, SimulatedGroq, http_client, service_before
from tests.support.waiting import wait_until

MODEL, FALLBACK = "openai/gpt-oss-20b", "openai/gpt-oss-120b"
SLOTS, QUEUED = 4, 2


@pytest.fixture(scope="module")
def limited_process(
    groq_process: SimulatedGroq,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("limited")
    settings = {
        "GROQ_FALLBACK_MODEL": FALLBACK,
        "GROQ_MAX_ATTEMPTS": "2",
        "GROQ_RETRY_SLEEP_BUDGET_S": "1",
        "GROQ_FIRST_TOKEN_TIMEOUT_S": "0.9",
        "INTER_TOKEN_TIMEOUT_S": "3",
        "CHAT_TIMEOUT_S": "4",
        "STREAM_KEEPALIVE_S": "0.3",
        "CLIENT_WRITE_TIMEOUT_S": "1",
        "MAX_ACTIVE_STREAMS": str(SLOTS),
        "MAX_QUEUED_CHATS": str(QUEUED),
        "QUEUE_TIMEOUT_S": "5",
    }
    with service_before(groq_process, folder, settings) as running:
        yield running


@pytest.fixture
def limited(limited_process: Service, groq: SimulatedGroq) -> Service:
    return limited_process


def test_keepalive_comments_are_sent_while_groq_is_silent(limited: Service, groq: SimulatedGroq) -> None:
    groq.fail({"silence_s": 1, "after_tokens": 5})
    reply = limited.chat()
    assert reply.done
    comments = [event for event in reply.events if event.startswith(":")]
    assert 1 <= len(comments) <= 4
    row = limited.row(reply.id)
    assert (row["outcome"], row["response"]) == ("completed", reply.text)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"silence_s": 9, "after_tokens": 5}, "the model sent no token for 3 s"),
        ({"tokens_per_s": 5}, "the chat took longer than 4 s"),
    ],
)
def test_each_timeout_has_its_own_message(
    limited: Service, groq: SimulatedGroq, fault: dict[str, Any], message: str
) -> None:
    groq.fail(fault)
    reply = limited.chat()
    assert (reply.status, reply.done) == (200, False)
    assert (reply.error["code"], reply.error["message"]) == ("upstream_timeout", message)
    row = limited.row(reply.id)
    assert (row["outcome"], row["error_code"], row["attempts"]) == ("upstream_timeout", "upstream_timeout", 1)


@pytest.mark.parametrize("fault", [{"first_byte_delay_s": 5}, {"first_token_delay_s": 5}])
def test_first_token_timeout_is_retried_and_then_a_504(
    limited: Service, groq: SimulatedGroq, fault: dict[str, Any]
) -> None:
    """The opening chunk with the role is no token: a retry is still possible."""
    groq.fail(fault)
    reply = limited.chat()
    assert (reply.status, reply.error["message"]) == (504, "Groq sent no token within 0.9 s")
    assert limited.row(reply.id)["attempts"] == 3  # two, and one more with the other model


def test_fallback_model_answers_and_every_attempt_is_recorded(limited: Service, groq: SimulatedGroq) -> None:
    before = attempts(limited)
    groq.fail({"status": 503, "model": MODEL})
    reply = limited.chat({**HELLO, "model": MODEL})
    assert reply.done
    row = limited.row(reply.id)
    assert (row["requested_model"], row["model_name"], row["attempts"]) == (MODEL, FALLBACK, 3)
    log = json.loads(row["attempt_log"])
    assert [(each["model"], each["status"]) for each in log] == [(MODEL, 503), (MODEL, 503), (FALLBACK, 200)]
    times = [ms for each in log for ms in (each["started_ms"], each["ended_ms"])]
    assert [0, *times, row["ttft_ms"]] == sorted([0, *times, row["ttft_ms"]]), "one after the other, and then a token"
    results = limited.finished_line(reply.id)["attempt_results"]
    assert [each["result"] for each in log] == results
    assert results == ["upstream_unavailable", "upstream_unavailable", "ok"]
    counted = attempts(limited)
    assert counted["failed"] - before["failed"] == 2
    assert counted["fallback"] - before["fallback"] == 1


def attempts(service: Service) -> dict[str, float]:
    """Attempts by the worker's metrics."""
    samples = scrape(service.http, service.own_metrics_port)
    name = "chat_upstream_attempts_total"
    return {
        "failed": total(samples, name, model=MODEL, result="upstream_unavailable"),
        "fallback": total(samples, name, model=FALLBACK, result="ok"),
    }


def test_chats_beyond_slots_and_queue_are_refused_at_once(limited: Service, groq: SimulatedGroq) -> None:
    groq.fail({"silence_s": 2, "after_tokens": 5})
    with ThreadPoolExecutor(SLOTS + QUEUED + 6) as pool:
        chats = [pool.submit(timed_chat, limited) for _ in range(SLOTS + QUEUED + 6)]
        replies = [chat.result() for chat in chats]
    admitted = [reply for reply, _ in replies if reply.status == 200]
    refused = [(reply, seconds) for reply, seconds in replies if reply.status == 503]
    assert all(reply.done for reply in admitted)
    assert (len(admitted), len(refused)) == (SLOTS + QUEUED, 6)
    for reply, seconds in refused:
        assert reply.error["code"] == "overloaded"
        assert reply.headers["retry-after"] in {"1", "2", "3"}
        assert seconds < 2  # admitted chats take longer
    queue_ms = sorted(limited.row(reply.id)["queue_ms"] for reply in admitted)
    assert max(queue_ms[:SLOTS]) < 1000 < min(queue_ms[SLOTS:])


def timed_chat(service: Service) -> tuple[Reply, float]:
    began = time.monotonic()
    with http_client() as client:
        reply = Service(service.url, service.program, service.database_url, client).chat()
    return reply, time.monotonic() - began


def peers(pid: int) -> set[tuple[str, int]]:
    """The addresses of a process's clients."""
    return {tuple(each.raddr) for each in psutil.Process(pid).net_connections("tcp4") if each.raddr}


def test_client_that_reads_nothing_is_disconnected_with_bounded_buffers(limited: Service, groq: SimulatedGroq) -> None:
    """The answer has 6 MB; the service and the kernel buffer a fraction of it."""
    groq.fail({"tokens_per_s": 20_000, "words": 30_000, "times": 1})
    host, port = limited.url.removeprefix("http://").split(":")
    body = json.dumps(HELLO).encode()
    head = [f"POST {PATH} HTTP/1.1", "host: x", "content-type: application/json", f"content-length: {len(body)}"]
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect((host, int(port)))
        reader.sendall("\r\n".join([*head, "", ""]).encode() + body)
        received = reader.recv(1000).decode(errors="replace")
        chat_id = received.partition("x-request-id: ")[2][:36]
        row = limited.row_in_time(chat_id, 15)
        # The kernel holds bytes for the client, which is still connected.
        mine = reader.getsockname()
        wait_until(lambda: mine not in peers(limited.program.pid), "the connection is still open")
    assert row["outcome"] == "client_stalled"
    line = limited.finished_line(chat_id)
    assert line["bytes"] < 2_000_000
    assert line["backpressure_ms"] >= 900

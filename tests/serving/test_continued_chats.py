"""`x-continue-on-disconnect: true`: a chat is read to its end when its client leaves. On real processes."""

import json
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from openai import OpenAI

from app.api.state import CONTINUE_HEADER
from tests.support.database import query
from tests.support.raw import connect, sized
from tests.support.service import DROP_IN, HELLO, PATH, Service, SimulatedGroq, service_before
from tests.support.waiting import wait_until

CONTINUE = {CONTINUE_HEADER: "true"}
SLOW = {"tokens_per_s": 25}
BODY = {**HELLO, "model": "openai/gpt-oss-20b", "max_tokens": 60}
CLIENT = """
import json, sys, urllib.request
url, body, headers = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
request = urllib.request.Request(url, body.encode(), {"content-type": "application/json", **headers})
with urllib.request.urlopen(request) as response:
    print(response.headers["x-request-id"], flush=True)
    response.read()
"""
SETTINGS = {"CLIENT_WRITE_TIMEOUT_S": "0.3", "CLIENT_BUFFER_BYTES": "4096", "METRICS_PORT": "0"}


@pytest.fixture(scope="module")
def shared_service(groq_process: SimulatedGroq, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service_before(groq_process, tmp_path_factory.mktemp("continuing"), SETTINGS) as running:
        yield running


@pytest.fixture
def continuing(shared_service: Service, groq: SimulatedGroq) -> Service:
    """A service without chats, with Groq slow enough that an answer takes two seconds."""
    wait_until(lambda: shared_service.metric("chat_active_streams") == 0, "a chat of another test runs")
    groq.fail(SLOW)
    return shared_service


def begin(service: Service, **body: Any) -> str:
    """Starts a chat, reads its first block, and disconnects. Returns its id."""
    with service.http.stream("POST", service.url + PATH, json=BODY | body, headers=CONTINUE) as response:
        next(response.iter_raw())
        return str(response.headers["x-request-id"])


def request(path: str, body: dict[str, Any]) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{CONTINUE_HEADER}: true\r\n"
    return head.encode() + sized(json.dumps(body).encode())


def row_of(service: Service, user: str) -> dict[str, Any]:
    sql = "SELECT * FROM chat_logs WHERE end_user = :user"
    (row,) = wait_until(lambda: query(service.database_url, sql, user=user), "there is no row")
    return row


def test_chat_is_read_to_its_end_when_its_client_disconnects(continuing: Service, groq: SimulatedGroq) -> None:
    left_before = groq.seen()["left"]
    chat_id = begin(continuing)
    assert continuing.metric("chat_active_streams") == 1
    with OpenAI(base_url=f"{continuing.url}/v1", api_key="none", max_retries=20) as client:
        stored = client.chat.completions.retrieve(chat_id)  # retries while it is answered with 409
    row, line = continuing.row(chat_id), continuing.finished_line(chat_id)
    assert (row["outcome"], row["usage_source"], row["finish_reason"]) == ("completed", "upstream", "length")
    assert row["completion_tokens"] == 60
    assert row["created_at"] < row["client_left_at"]
    assert line["client_left_at"]
    assert stored.choices[0].message.content == row["response"]
    facts: Any = stored
    assert facts.x_chat["client_left_at"]
    assert groq.seen()["left"] == left_before
    groq.recover()
    same = continuing.row(continuing.chat(BODY).id)  # the same answer, to a client that stays
    assert (row["response"], row["reasoning"]) == (same["response"], same["reasoning"])
    wait_until(lambda: continuing.metric("chat_active_streams") == 0, "the chat is still counted")


def test_chat_is_running_until_it_is_stored(continuing: Service) -> None:
    chat_id = begin(continuing)
    running = continuing.http.get(f"{continuing.url}{DROP_IN}/{chat_id}")
    assert (running.status_code, running.json()["error"]["code"]) == (409, "chat_running")
    assert running.headers["retry-after"] == "2"
    continuing.row_in_time(chat_id)
    assert continuing.http.get(f"{continuing.url}{DROP_IN}/{chat_id}").status_code == 200


def test_answer_without_a_stream_is_read_too(continuing: Service, groq: SimulatedGroq) -> None:
    requests = groq.seen()["requests"]
    with connect(continuing.url) as client:
        client.sendall(request(DROP_IN, BODY | {"user": "whole"}))
        wait_until(lambda: groq.seen()["requests"] > requests, "Groq receives no request")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
    row = row_of(continuing, "whole")
    assert (row["outcome"], row["completion_tokens"]) == ("completed", 60)
    assert row["client_left_at"]


def test_killed_client_does_not_end_the_chat(continuing: Service) -> None:
    command = [sys.executable, "-c", CLIENT, continuing.url + PATH, json.dumps(BODY), json.dumps(CONTINUE)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout
        chat_id = client.stdout.readline().strip()
        client.kill()
    row = continuing.row_in_time(chat_id)
    assert (row["outcome"], row["completion_tokens"]) == ("completed", 60)


def test_client_that_stalls_does_not_end_the_chat(continuing: Service, groq: SimulatedGroq) -> None:
    groq.fail({"tokens_per_s": 5000, "words": 10_000})
    with connect(continuing.url, receive_buffer=4096) as client:
        client.sendall(request(PATH, HELLO | {"user": "stalled"}))
        row = row_of(continuing, "stalled")
    assert row["outcome"] == "completed"
    assert row["client_left_at"]


@pytest.mark.parametrize(
    ("drain_s", "outcome", "error_code"), [("20", "completed", None), ("0.5", "draining", "server_draining")]
)
def test_chat_without_its_client_is_drained_within_the_limit(
    groq: SimulatedGroq, tmp_path: Path, drain_s: str, outcome: str, error_code: str | None
) -> None:
    groq.fail(SLOW)
    with service_before(groq, tmp_path, SETTINGS | {"DRAIN_TIMEOUT_S": drain_s}) as service:
        chat_id = begin(service)
        service.program.signal(signal.SIGTERM)
        service.program.wait()
        row = service.row(chat_id)
    assert (row["outcome"], row["error_code"]) == (outcome, error_code)
    assert (row["completion_tokens"] == 60) == (outcome == "completed")
    assert row["client_left_at"]


def test_without_the_header_the_chat_ends_with_its_client(continuing: Service) -> None:
    for headers in ({}, {CONTINUE_HEADER: "False"}):
        with continuing.http.stream("POST", continuing.url + PATH, json=BODY, headers=headers) as response:
            next(response.iter_raw())
        row = continuing.row_in_time(response.headers["x-request-id"])
        assert row["outcome"] == "client_disconnected"
        assert row["client_left_at"]


@pytest.mark.parametrize(
    ("settings", "body", "value", "reason"),
    [
        ({}, {"store": False}, "true", 'the request has "store": false'),
        ({"CHAT_LOG_CONTENT": "none"}, {}, "true", "this service stores no answers"),
        ({"CHAT_LOG_API": "false"}, {}, "TRUE", "this service returns no stored chats"),
        ({}, {}, "yes", "send true or false"),
    ],
)
def test_header_is_refused_where_the_answer_could_not_be_fetched(
    groq: SimulatedGroq, tmp_path: Path, settings: dict[str, str], body: dict[str, Any], value: str, reason: str
) -> None:
    before = groq.seen()["requests"]
    with service_before(groq, tmp_path, settings) as service:
        chats = [service.chat(HELLO | body, headers={CONTINUE_HEADER: value}, path=path) for path in (PATH, DROP_IN)]
        for refused in chats:
            assert (refused.status, refused.error["param"]) == (400, CONTINUE_HEADER)
            assert reason in refused.error["message"]
        if "CHAT_LOG_API" in settings:
            assert service.http.get(service.url + DROP_IN).status_code == 405
            assert service.http.get(f"{service.url}{DROP_IN}/{chats[0].id}").status_code == 404
    assert groq.seen()["requests"] == before


def test_running_chats_are_listed_without_text(continuing: Service, http: httpx2.Client) -> None:
    secret = "a-word-of-mine"
    chat_id = begin(continuing, messages=[{"role": "user", "content": secret}], user=secret)
    listed = http.get(f"{continuing.url}{DROP_IN}?state=running")
    (found,) = listed.json()["data"]
    facts = found["x_chat"]
    assert (found["id"], facts["id"], facts["state"], found["choices"]) == (chat_id, chat_id, "running", [])
    assert (facts["worker"], listed.json()["x_chat"]["worker"]) == (0, 0)
    assert facts["model_name"] == found["model"] == BODY["model"]
    assert facts["age_ms"] > facts["silence_ms"] >= 0
    assert facts["tokens"] > 0
    served = http.get(f"http://127.0.0.1:{continuing.own_metrics_port}/chats")
    assert [(each["id"], each["client"]) for each in served.json()["chats"]] == [(chat_id, None)]
    assert secret not in listed.text + served.text
    continuing.row_in_time(chat_id)
    running = f"{continuing.url}{DROP_IN}?state=running"
    # The chat's row is visible a moment before its worker knows that it is stored.
    wait_until(lambda: http.get(running).json()["data"] == [], "the chat is still listed")

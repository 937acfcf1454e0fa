"""The bytes of request bodies in memory are limited, shared among clients, and released however a request ends."""

import json
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.support.raw import CHAT, CLOSE, connect, exchange, receive_until, sized
from tests.support.service import HELLO, Service, SimulatedGroq, service_before
from tests.support.waiting import wait_until

MAX_BODY_BYTES = 250_000  # the simulator takes 13 µs for each byte of a prompt
LIMIT = 4 * MAX_BODY_BYTES
HALF = LIMIT // 2
GREEDY, OTHER = (b"authorization: Bearer key-of-the-%s\r\n" % name for name in (b"greedy", b"other"))
STALLED = b"content-length: 125000\r\n\r\n" + b" " * 124_999
CHUNKED = b"transfer-encoding: chunked\r\n\r\n%x\r\n" % 124_999 + b" " * 124_999
TEXT = json.dumps({"messages": [{"role": "user", "content": "x" * 124_000}]}).encode()


@pytest.fixture(scope="module")
def keyed_process(groq_process: SimulatedGroq, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {
        "API_KEYS": "greedy:key-of-the-greedy,another:key-of-the-other",
        "MAX_BODY_BYTES": str(MAX_BODY_BYTES),
        "MAX_BODY_BYTES_IN_FLIGHT": str(LIMIT),
        "COMMIT_TIMEOUT_S": "20",
    }
    with service_before(groq_process, tmp_path_factory.mktemp("keyed"), settings) as running:
        yield running


@pytest.fixture
def keyed(keyed_process: Service, groq: SimulatedGroq) -> Iterator[Service]:
    """A service with two keys. After the test it must hold no body, and have logged no exception."""
    groq.fail({"words": 1})
    yield keyed_process
    wait_for_body_bytes(keyed_process, 0)
    assert "Traceback" not in keyed_process.program.output


def body_bytes(service: Service) -> float:
    return service.metric("chat_request_body_bytes")


def wait_for_body_bytes(service: Service, count: int) -> None:
    wait_until(lambda: body_bytes(service) == count, f"bodies do not take {count} bytes")


def send(service: Service, clients: ExitStack, data: bytes) -> socket.socket:
    client = clients.enter_context(connect(service.url))
    client.sendall(data)
    return client


def test_stalled_uploads_of_a_client_take_at_most_half_and_others_are_served(keyed: Service) -> None:
    with ExitStack() as clients:
        for _ in range(10):
            send(keyed, clients, CHAT + GREEDY + STALLED)
        wait_for_body_bytes(keyed, HALF)
        refused = keyed.chat(content=TEXT, headers=headers(GREEDY))
        assert refused.status == 429
        assert (refused.error["code"], refused.error["type"]) == ("body_bytes_exceeded", "bytes")
        assert "retry-after" in refused.headers
        line = keyed.program.line(lambda line: refused.id in line)
        assert line
        assert '"outcome":"rejected_quota"' in line
        assert '"error_code":"body_bytes_exceeded"' in line
        assert exchange(keyed.url, CHAT + CLOSE + OTHER + sized(TEXT)).statuses == [200]
    wait_for_body_bytes(keyed, 0)
    assert exchange(keyed.url, CHAT + CLOSE + GREEDY + sized(TEXT)).statuses == [200]


def test_chunked_uploads_are_counted_as_they_arrive(keyed: Service) -> None:
    with ExitStack() as clients:
        for _ in range(10):
            send(keyed, clients, CHAT + GREEDY + CHUNKED)
        assert keyed.chat(headers=headers(OTHER)).done
        assert 0 < body_bytes(keyed) <= HALF
        assert exchange(keyed.url, CHAT + CLOSE + OTHER + sized(TEXT)).statuses == [200]


def test_body_is_counted_while_its_chat_runs(keyed: Service, groq: SimulatedGroq) -> None:
    groq.fail({"silence_s": 10, "after_tokens": 3, "times": 1})
    with connect(keyed.url) as client:
        client.sendall(CHAT + GREEDY + sized(TEXT))
        receive_until(client, b"data:")
        assert body_bytes(keyed) == len(TEXT)
    wait_for_body_bytes(keyed, 0)


def test_body_is_counted_until_its_row_is_stored(keyed: Service, groq: SimulatedGroq) -> None:
    """Even after its client has disconnected."""
    groq.fail({"silence_s": 10, "after_tokens": 3, "times": 1})
    with closing(sqlite3.connect(keyed.database_url.partition(":///")[2], isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        left_before = groq.seen()["left"]
        with connect(keyed.url) as client:
            client.sendall(CHAT + GREEDY + sized(TEXT))
            receive_until(client, b"data:")
        groq.wait_until_left(left_before + 1)
        assert body_bytes(keyed) == len(TEXT)
        database.execute("ROLLBACK")
    wait_for_body_bytes(keyed, 0)


@pytest.mark.parametrize(
    "data",
    [
        b"content-length: 2000000\r\n\r\n",
        b"content-length: 125000\r\n\r\n{",
        b"transfer-encoding: chunked\r\n\r\n5\r\n{",
        sized(b"{"),
        sized(b"[" * 240_000),
        sized(b'{"x":' + b"[" * 100 + b"]" * 100 + b"}"),
        sized(TEXT),
    ],
    ids=["too large", "incomplete", "incomplete chunk", "not JSON", "too many values", "deep", "chat"],
)
def test_disconnect_releases_the_body(keyed: Service, groq: SimulatedGroq, data: bytes) -> None:
    groq.fail({"silence_s": 10, "after_tokens": 3, "times": 1})
    before = keyed.metric("chat_requests_total")
    with connect(keyed.url) as client:
        client.sendall(CHAT + GREEDY + data)
    wait_until(lambda: keyed.metric("chat_requests_total") > before, "the request is not counted")
    wait_for_body_bytes(keyed, 0)


def test_client_without_a_key_is_its_address(groq: SimulatedGroq, tmp_path: Path) -> None:
    groq.fail({"words": 1})
    settings = {"MAX_BODY_BYTES": str(MAX_BODY_BYTES), "MAX_BODY_BYTES_IN_FLIGHT": str(LIMIT)}
    with service_before(groq, tmp_path, settings) as service, ExitStack() as clients:
        for _ in range(6):
            clients.enter_context(connect(service.url, source="127.0.0.2")).sendall(CHAT + STALLED)
        wait_for_body_bytes(service, HALF)
        assert exchange(service.url, CHAT + CLOSE + sized(TEXT)).statuses == [200]


def headers(line: bytes) -> dict[str, str]:
    name, _, value = line.decode().strip().partition(": ")
    return {name: value}


def test_number_of_json_values_is_limited(keyed: Service) -> None:
    content = b'{"messages":[{"role":"user","content":"Hi"}],"search_settings":%s}'
    refused = keyed.chat(content=content % (b"[" + b"1," * 120_000 + b"1]"), headers=headers(GREEDY))
    assert (refused.status, refused.error["code"]) == (413, "body_too_large")
    assert "more than 100000 JSON values" in refused.error["message"]
    assert keyed.chat(content=content % (b'"' + b"[1," * 80_000 + b'"'), headers=headers(GREEDY)).done
    assert keyed.chat(content=content % (b"[" + b"1," * 90_000 + b"1]"), headers=headers(GREEDY)).done


def test_largest_body_is_accepted_and_its_client_can_send_another(keyed: Service) -> None:
    text = json.dumps({"messages": [{"role": "user", "content": "x" * (MAX_BODY_BYTES - 100)}]}).encode()
    reply = keyed.chat(content=text, headers=headers(GREEDY))
    assert reply.done
    assert len(keyed.row(reply.id)["prompt"]) == MAX_BODY_BYTES - 100
    assert keyed.chat(HELLO, headers=headers(GREEDY)).done

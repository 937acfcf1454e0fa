"""Requests that are too slow, too large or endless: each is refused within its limit, and harms no other client."""

import itertools
import select
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.raw import BODY, CHAT, HEALTH, HOST, connect, exchange, receive_one, sized
from tests.support.service import Service, SimulatedGroq
from tests.support.serving import Workers

TIMEOUT_S = 10
"""Far above the limits of these tests, which are half a second for headers and one second for bodies."""
LONG = b"y" * 20_000
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"
CHUNKED_BODY = b"%x\r\n%s\r\n0\r\n" % (len(BODY), BODY)

# ── Time ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("head", [b"G", HEALTH, HEALTH + b"cookie: "], ids=["one byte", "headers", "half a header"])
def test_unfinished_headers_time_out(strict: Service, head: bytes) -> None:
    received = exchange(strict.url, head)
    assert received.statuses == [408]
    assert received.error["code"] == "header_timeout"
    assert "0.5 s" in received.error["message"]
    assert 0.4 < received.seconds < TIMEOUT_S


def test_header_timeout_is_not_extended_by_more_headers(strict: Service) -> None:
    """Which would end it after eighteen seconds."""
    before = len(strict.program.lines)
    headers = [b"GET /healthz HTTP/1.1\r\n", *itertools.repeat(b"x: y\r\n", 90)]
    received = exchange(strict.url, *headers, pause_s=0.2)
    assert received.statuses in ([408], [])  # a client that is still sending may get a reset
    assert received.seconds < TIMEOUT_S
    assert strict.program.line(lambda line: '"error_code":"header_timeout"' in line, after=before)


@pytest.mark.parametrize("data", [b"", b"\r\n\r\n"], ids=["nothing", "empty lines"])
def test_connection_without_a_request_is_closed_without_a_response(strict: Service, data: bytes) -> None:
    received = exchange(strict.url, data)
    assert received.data == b""
    assert received.seconds < TIMEOUT_S


def test_header_timeout_starts_with_each_request_and_not_between_requests(strict: Service) -> None:
    with connect(strict.url) as client:
        for _ in range(2):
            client.sendall(HEALTH + b"\r\n")
            assert receive_one(client) == 200
            time.sleep(0.7)
        client.sendall(HEALTH)
        assert receive_one(client) == 408
        assert client.recv(1) == b""


def test_header_timeout_does_not_end_a_response(strict: Service, groq: SimulatedGroq) -> None:
    """Not even with half of the next request on the connection."""
    groq.fail({"silence_s": 1, "after_tokens": 3, "times": 1})
    received = exchange(strict.url, CHAT + sized() + b"GET /he")
    assert received.statuses[0] == 200
    assert b"data: [DONE]\n\n" in received.data


def test_unfinished_body_times_out(strict: Service) -> None:
    received = exchange(strict.url, CHAT + b"content-length: 100\r\n\r\n{")
    assert received.statuses == [408]
    assert received.error["code"] == "body_timeout"
    assert received.seconds < TIMEOUT_S


@pytest.mark.parametrize("piece", [b"x", b"1\r\nx\r\n"], ids=["sized", "chunked"])
def test_body_that_continues_after_the_response_times_out(strict: Service, piece: bytes) -> None:
    framing = b"content-length: 1000000\r\n\r\n" if piece == b"x" else CHUNKED
    received = exchange(strict.url, HEALTH.replace(b"GET", b"POST") + framing, *[piece] * 30, pause_s=0.05)
    assert received.statuses in ([405], [])
    assert received.seconds < TIMEOUT_S


def test_slow_clients_do_not_delay_others(small_bodies: Service) -> None:
    """The chat has ended while all of them are still connected."""
    with ExitStack() as stack:
        slow = [stack.enter_context(connect(small_bodies.url)) for _ in range(50)]
        for client in slow:
            client.sendall(CHAT)
        assert small_bodies.chat().done
        readable, _, _ = select.select(slow, [], [], 0)
        assert not readable


@pytest.mark.parametrize("head", [CHAT, HEALTH.replace(b"GET", b"POST")], ids=["before the response", "after it"])
def test_body_of_tiny_chunks_is_refused(strict: Service, head: bytes) -> None:
    """Each costs the parser a call. After a response the connection is closed without another one."""
    received = exchange(strict.url, head + CHUNKED, *[b"1\r\nx\r\n" * 2000] * 2, pause_s=0.2)
    assert received.statuses in ([400 if head == CHAT else 405], [])
    assert received.seconds < TIMEOUT_S


@pytest.mark.parametrize("close", [b"", b"connection: close\r\n"], ids=["keep-alive", "close"])
def test_client_that_ends_its_upload_causes_no_traceback(strict: Service, close: bytes) -> None:
    for head in (CHAT, CHAT.replace(b"1.1", b"1.0")):
        with connect(strict.url) as client:
            client.sendall(head + close + b"content-length: 1000\r\n\r\n{")
    assert strict.chat().done  # `strict` finds the traceback


# ── Size and number ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "pieces",
    [
        [HEALTH, b"x: ", *[LONG] * 4, b"\r\n\r\n"],
        [HEALTH, b"x: ", *[LONG] * 8],
        [HEALTH, *[LONG] * 8],
        [HEALTH + b"x: " + LONG * 20 + b"\r\n\r\n"],
        [HEALTH, *[b"x: %s\r\n" % LONG] * 4, b"\r\n"],
        [HEALTH + b"x: y\r\n" * 101 + b"\r\n"],
        [HEALTH, b"x: y\r\n" * 20_000],
        [b"GET /", *[LONG] * 4, b" HTTP/1.1\r\n", HOST, b"\r\n"],
        [b"GET /?", LONG * 20],
        [b"\r\n" * 70_000],
        [CHAT + CHUNKED + CHUNKED_BODY, *[b"x: %s\r\n" % LONG] * 8],
        [CHAT + CHUNKED + b"5;", *[LONG] * 8],
    ],
    ids=[
        *("value", "endless value", "endless name", "value at once", "sum", "number", "endless number"),
        *("path", "endless query", "empty lines", "trailers", "chunk extension"),
    ],
)
def test_headers_beyond_the_limit_are_refused(strict: Service, pieces: list[bytes]) -> None:
    received = exchange(strict.url, *pieces, pause_s=0.02)
    assert received.statuses in ([431], [400, 431])
    assert received.error["code"] == "headers_too_large"
    assert "65536 bytes or 100 headers" in received.error["message"]


@pytest.mark.parametrize("headers", [b"x: y\r\n" * 98, b"x: " + b"y" * 65_000 + b"\r\n"], ids=["number", "bytes"])
def test_headers_within_the_limit_are_accepted(strict: Service, headers: bytes) -> None:
    assert exchange(strict.url, HEALTH + b"connection: close\r\n" + headers + b"\r\n").statuses == [200]


def test_workers_have_the_limits_of_one_process(workers: Workers) -> None:
    assert exchange(workers.url, HEALTH + b"x: " + b"y" * 70_000 + b"\r\n\r\n").statuses == [431]


def test_endless_headers_end_with_the_connection_cut(strict: Service) -> None:
    deadline = time.monotonic() + TIMEOUT_S

    def send(client: socket.socket) -> None:
        client.sendall(HEALTH + b"x: ")
        while time.monotonic() < deadline:
            client.sendall(LONG)
            time.sleep(0.01)

    with connect(strict.url) as client, pytest.raises(ConnectionError):
        send(client)


def test_pipelined_requests_are_limited(strict: Service, groq: SimulatedGroq) -> None:
    """Uvicorn alone accepts them all: 6 MB of them, with a dozen responses, took 125 MB of memory."""
    groq.fail({"silence_s": 2, "after_tokens": 3, "times": 1})
    received = exchange(strict.url, CHAT + sized(), *[(HEALTH + b"\r\n") * 1000] * 30, pause_s=0.01)
    assert received.statuses in ([200], [400], [])  # depending on whether the response had started


@pytest.mark.parametrize("framing", [b"content-length: 100000000\r\n\r\n", CHUNKED + b"5f5e100\r\n"])
def test_huge_body_is_refused_before_it_takes_memory(strict: Service, framing: bytes) -> None:
    Path(f"/proc/{strict.program.pid}/clear_refs").write_text("5", encoding="ascii")  # begins a new peak
    before = peak_mb(strict.program.pid)
    received = exchange(strict.url, CHAT + framing, *[b"x" * 10_000] * 6000)
    assert received.statuses in ([413], [])  # a client that is still sending may get a reset
    assert peak_mb(strict.program.pid) - before < 20


def peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024

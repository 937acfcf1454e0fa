"""What is too large, too many or endless is refused while it is small."""

import socket
import time
from pathlib import Path

import pytest

from tests.support.raw import BODY, CHAT, CLOSE, HEALTH, connect, exchange, sized
from tests.support.service import Service, SimulatedGroq

LONG = b"y" * 20_000
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"
WHOLE = b"%x\r\n%s\r\n0\r\n" % (len(BODY), BODY)


def rss_mb(pid: int) -> float:
    """What the process holds in memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


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
        [b"GET /", *[LONG] * 4, b" HTTP/1.1\r\n\r\n"],
        [b"GET /?", LONG * 20],
        [b"\r\n" * 70_000],
        [CHAT + CHUNKED + WHOLE, *[b"x: %s\r\n" % LONG] * 8],
        [CHAT + CHUNKED + b"5;", *[LONG] * 8],
    ],
    ids=[
        *("value", "endless value", "endless name", "value at once", "sum", "number", "endless number"),
        *("path", "endless query", "empty lines", "trailers", "extension of a chunk"),
    ],
)
def test_headers_and_the_like_have_a_size(strict: Service, pieces: list[bytes]) -> None:
    received = exchange(strict.url, *pieces, pause_s=0.02)
    assert received.statuses in ([431], [400, 431])
    assert received.error["code"] == "headers_too_large"
    assert "65536 bytes or 100 headers" in received.error["message"]


def test_headers_up_to_the_limit_are_taken(strict: Service) -> None:
    assert exchange(strict.url, HEALTH + CLOSE + b"x: y\r\n" * 98 + b"\r\n").statuses == [200]
    assert exchange(strict.url, HEALTH + CLOSE + b"x: " + b"y" * 65_000 + b"\r\n\r\n").statuses == [200]


def test_trailers_are_no_headers(strict: Service) -> None:
    received = exchange(strict.url, CHAT + CLOSE + CHUNKED + WHOLE + b"x-request-id: late\r\n\r\n")
    assert received.statuses == [200]
    assert '"late"' not in strict.program.output


def test_a_client_that_goes_on_and_on_is_left(strict: Service) -> None:
    """However much it sends: the answer is given, then the connection is cut."""

    def send_for_ever(client: socket.socket) -> None:
        client.sendall(HEALTH + b"x: ")
        while time.monotonic() < start + 15:
            client.sendall(LONG)
            time.sleep(0.01)

    start = time.monotonic()
    with connect(strict.url) as client, pytest.raises(ConnectionError):
        send_for_ever(client)


def test_requests_that_wait_for_nobody_are_bounded(strict: Service, groq: SimulatedGroq) -> None:
    """By itself uvicorn takes them all: 6 MB of them, and a dozen answers, were 125 MB of memory."""
    groq.fail({"silence_s": 2, "after_tokens": 3, "times": 1})
    received = exchange(strict.url, CHAT + sized(), *[(HEALTH + b"\r\n") * 1000] * 30, pause_s=0.01)
    assert received.statuses in ([200], [400], [])  # whether its answer had begun or not


def test_a_few_requests_at_once_are_answered_in_order(strict: Service) -> None:
    requests = [HEALTH + b"\r\n", CHAT + sized(), b"GET /nowhere HTTP/1.1\r\n\r\n", HEALTH + CLOSE + b"\r\n"]
    received = exchange(strict.url, b"".join(requests))
    assert received.statuses == [200, 200, 404, 200]


@pytest.mark.parametrize("framing", [b"content-length: 100000000\r\n\r\n", CHUNKED + b"5f5e100\r\n"])
def test_a_huge_body_is_refused_while_it_is_small(strict: Service, framing: bytes) -> None:
    before = rss_mb(strict.program.pid)
    received = exchange(strict.url, CHAT + framing, *[b"x" * 10_000] * 1000)
    assert received.statuses in ([413], [])  # whoever goes on sending may miss it
    assert rss_mb(strict.program.pid) - before < 20

"""Clients that take their time hold no connection for long."""

import itertools
import threading
import time

import pytest

from tests.support.raw import CHAT, HEALTH, connect, exchange, receive_one, sized
from tests.support.service import Service, SimulatedGroq
from tests.support.serving import Workers

SOON_S = 10
"""The limits of these tests are half a second and one second."""


@pytest.mark.parametrize("head", [b"G", HEALTH, HEALTH + b"cookie: "], ids=["letter", "lines", "half a line"])
def test_headers_that_stop_coming_are_refused(strict: Service, head: bytes) -> None:
    received = exchange(strict.url, head)
    assert received.statuses == [408]
    assert received.error["code"] == "header_timeout"
    assert "0.5 s" in received.error["message"]
    assert 0.4 < received.seconds < SOON_S


def test_headers_that_drip_are_refused_all_the_same(strict: Service) -> None:
    """The limit is for all of them: a byte now and then buys no time."""
    drops = [b"GET /healthz HTTP/1.1\r\n", *itertools.repeat(b"x: y\r\n", 30)]
    received = exchange(strict.url, *drops, pause_s=0.05)
    assert received.statuses in ([408], [])  # whoever goes on sending may miss it
    assert received.seconds < SOON_S
    assert '"error_code":"header_timeout"' in strict.program.output


@pytest.mark.parametrize("data", [b"", b"\r\n\r\n"])
def test_a_connection_on_which_nothing_is_asked_is_closed_without_a_word(strict: Service, data: bytes) -> None:
    received = exchange(strict.url, data)
    assert received.data == b""
    assert received.seconds < SOON_S


def test_the_next_request_of_a_connection_has_as_long_and_the_wait_for_it_does_not_count(strict: Service) -> None:
    with connect(strict.url) as client:
        for _ in range(2):
            client.sendall(HEALTH + b"\r\n")
            assert receive_one(client) == 200
            time.sleep(0.7)
        client.sendall(HEALTH)
        assert receive_one(client) == 408
        assert client.recv(1) == b""


def test_an_answer_may_take_longer_than_headers(strict: Service, groq: SimulatedGroq) -> None:
    """Half a request that comes meanwhile is no reason to cut it short."""
    groq.fail({"silence_s": 1, "after_tokens": 3, "times": 1})
    received = exchange(strict.url, CHAT + sized(), b"GET /he", pause_s=0.2)
    assert received.statuses[0] == 200
    assert b"data: [DONE]\n\n" in received.data


def test_a_body_that_stops_coming_is_refused_and_its_connection_closed(strict: Service) -> None:
    received = exchange(strict.url, CHAT + b"content-length: 100\r\n\r\n{")
    assert received.statuses == [408]
    assert received.error["code"] == "body_timeout"
    assert received.seconds < SOON_S


@pytest.mark.parametrize("drop", [b"x", b"1\r\nx\r\n"], ids=["sized", "chunked"])
def test_a_body_that_goes_on_after_its_answer_is_not_listened_to_for_ever(strict: Service, drop: bytes) -> None:
    framing = b"content-length: 1000000\r\n\r\n" if drop == b"x" else b"transfer-encoding: chunked\r\n\r\n"
    received = exchange(strict.url, b"POST /healthz HTTP/1.1\r\n" + framing, *[drop] * 30, pause_s=0.05)
    assert received.statuses in ([405], [])
    assert received.seconds < SOON_S


def test_a_body_that_comes_after_its_answer_leaves_the_connection_of_use(strict: Service) -> None:
    with connect(strict.url) as client:
        client.sendall(b"POST /healthz HTTP/1.1\r\ncontent-length: 4\r\n\r\n")
        assert receive_one(client) == 405
        client.sendall(b"late" + CHAT + sized())
        assert receive_one(client) == 200


def test_many_slow_clients_do_not_keep_others_waiting(strict: Service) -> None:
    slow = [threading.Thread(target=exchange, args=(strict.url, CHAT)) for _ in range(50)]
    for thread in slow:
        thread.start()
    assert strict.chat().done
    for thread in slow:
        thread.join(timeout=SOON_S)
        assert not thread.is_alive()


def test_workers_have_these_limits_too(workers: Workers) -> None:
    received = exchange(workers.url, HEALTH + b"x: " + b"y" * 70_000 + b"\r\n\r\n")
    assert received.statuses == [431]

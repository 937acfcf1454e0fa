"""Clients that disconnect before their request is complete, or during the answer: each request is counted once."""

import socket

import pytest

from tests.support.raw import CHAT, HEALTH, connect, receive_until, sized
from tests.support.service import Service, SimulatedGroq
from tests.support.waiting import wait_until


def counted(service: Service, **labels: str) -> float:
    return service.metric("chat_requests_total", **labels)


def assert_counted_once(service: Service, outcome: str, before: float) -> None:
    """Once the service has noticed: the client cannot know when."""
    wait_until(lambda: counted(service, outcome=outcome) != before, "the request is not counted")
    assert counted(service, outcome=outcome) == before + 1


@pytest.mark.parametrize("framing", [b"content-length: 100\r\n\r\n", b"transfer-encoding: chunked\r\n\r\n64\r\n"])
def test_request_with_an_incomplete_body_is_counted_as_invalid(strict: Service, framing: bytes) -> None:
    before, completed = counted(strict, outcome="invalid_request"), counted(strict, outcome="completed")
    with connect(strict.url) as client:
        client.sendall(CHAT + framing + b'{"messages": [')
    assert_counted_once(strict, "invalid_request", before)
    assert counted(strict, outcome="completed") == completed


@pytest.mark.parametrize("head", [b"", b"P", CHAT], ids=["nothing", "one byte", "half of the headers"])
def test_incomplete_headers_are_not_counted(strict: Service, head: bytes) -> None:
    before = counted(strict)
    with connect(strict.url) as client:
        client.sendall(head)
    assert strict.chat().done
    assert counted(strict) == before + 1


def test_disconnect_is_noticed_behind_a_pipelined_request(strict: Service, groq: SimulatedGroq) -> None:
    """Uvicorn alone signals it to the last request, which has not started; the chat would run to its end."""
    groq.fail({"silence_s": 10, "after_tokens": 3, "times": 1})
    before = counted(strict, outcome="client_disconnected")
    with connect(strict.url) as client:
        client.sendall(CHAT + sized() + HEALTH + b"\r\n")
        receive_until(client, b"data:")
    assert_counted_once(strict, "client_disconnected", before)


def test_invalid_bytes_after_a_request_end_its_chat_without_a_second_response(
    strict: Service, groq: SimulatedGroq
) -> None:
    groq.fail({"silence_s": 10, "after_tokens": 3, "times": 1})
    before = counted(strict, outcome="client_disconnected")
    with connect(strict.url) as client:
        client.sendall(CHAT + sized())
        receive_until(client, b"data:")
        client.sendall(b"\xff" * 10)
        rest = b"".join(iter(lambda: client.recv(65536), b""))
    assert b"HTTP/1.1" not in rest
    assert_counted_once(strict, "client_disconnected", before)


def test_client_that_half_closes_is_disconnected(strict: Service, groq: SimulatedGroq) -> None:
    """As docs/api.md says: TCP cannot tell it from a client that has gone."""
    groq.fail({"silence_s": 20, "after_tokens": 3, "times": 1})
    with connect(strict.url) as client:
        client.sendall(CHAT + sized())
        received = client.recv(65536)
        client.shutdown(socket.SHUT_WR)
        while data := client.recv(65536):
            received += data
    assert b"[DONE]" not in received
    chat_id = received.decode().partition("x-request-id: ")[2][:36]
    assert strict.row_in_time(chat_id)["outcome"] == "client_disconnected"

"""Clients that hang up before they have asked, or in the middle: each is counted once, and is no bug."""

import time

import pytest

from tests.support.raw import CHAT, HEALTH, connect, receive_until, sized
from tests.support.scrape import scrape, total
from tests.support.service import Service, SimulatedGroq
from tests.support.waiting import wait_until


def counted(service: Service, **labels: str) -> float:
    port = service.own_metrics_port
    return total(scrape(service.http, port), "chat_requests_total", **labels)


def counts_one_more(service: Service, outcome: str, before: float) -> bool:
    """Whether it is one in the end; a client that has gone cannot know when."""
    wait_until(lambda: counted(service, outcome=outcome) != before, "it is not counted")
    return counted(service, outcome=outcome) == before + 1


@pytest.mark.parametrize("framing", [b"content-length: 100\r\n\r\n", b"transfer-encoding: chunked\r\n\r\n64\r\n"])
def test_half_a_body_is_counted_as_a_request_that_was_refused(strict: Service, framing: bytes) -> None:
    before, rows = counted(strict, outcome="invalid_request"), counted(strict, outcome="completed")
    with connect(strict.url) as client:
        client.sendall(CHAT + framing + b'{"messages": [')
        time.sleep(0.1)
    assert counts_one_more(strict, "invalid_request", before)
    assert counted(strict, outcome="completed") == rows


@pytest.mark.parametrize("head", [b"", b"P", CHAT], ids=["nothing", "letter", "half of the headers"])
def test_half_of_the_headers_are_no_request(strict: Service, head: bytes) -> None:
    before = counted(strict)
    with connect(strict.url) as client:
        client.sendall(head)
    assert strict.chat().done
    assert counted(strict) == before + 1


def test_whoever_hangs_up_on_an_answer_is_noticed_with_a_second_request_behind_it(
    strict: Service, groq: SimulatedGroq
) -> None:
    """By itself uvicorn tells the request that came last, which has yet to begin; the chat would run to its end."""
    groq.fail({"silence_s": 10, "after_tokens": 3, "times": 1})
    before = counted(strict, outcome="client_disconnected")
    with connect(strict.url) as client:
        client.sendall(CHAT + sized() + HEALTH + b"\r\n")
        receive_until(client, b"data:")
    assert counts_one_more(strict, "client_disconnected", before)


def test_nonsense_behind_a_request_ends_its_chat_without_a_word_in_the_middle(
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
    assert counts_one_more(strict, "client_disconnected", before)

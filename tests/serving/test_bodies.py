"""The memory that requests take is bounded, shared out among callers, and given back however a request ends."""

import json
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.support.raw import CHAT, CLOSE, connect, exchange, receive_until, sized
from tests.support.scrape import scrape, total
from tests.support.service import HELLO, Service, SimulatedGroq, service_before

LARGEST = 1_000_000
LIMIT = 4 * LARGEST
HALF = LIMIT // 2
GREEDY, OTHER = (b"authorization: Bearer key-of-the-%s\r\n" % who for who in (b"greedy", b"other"))
STALLED = b"content-length: 500000\r\n\r\n" + b" " * 499_999
CHUNKED = b"transfer-encoding: chunked\r\n\r\n7a11f\r\n" + b" " * 499_999
TEXT = json.dumps({"messages": [{"role": "user", "content": "x" * 499_000}]}).encode()


@pytest.fixture(scope="module")
def keyed_process(groq_process: SimulatedGroq, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {
        "API_KEYS": "greedy:key-of-the-greedy,other:key-of-the-other",
        "MAX_BODY_BYTES": str(LARGEST),
        "MAX_BODY_BYTES_IN_FLIGHT": str(LIMIT),
        "COMMIT_TIMEOUT_S": "20",
    }
    with service_before(groq_process, tmp_path_factory.mktemp("keyed"), settings) as running:
        yield running


@pytest.fixture
def keyed(keyed_process: Service, groq: SimulatedGroq) -> Iterator[Service]:
    """With two keys. Whatever a test sends, no memory is held in the end."""
    groq.fail({"words": 1})
    yield keyed_process
    assert holds(keyed_process, 0)
    assert "Traceback" not in keyed_process.program.output


def held(service: Service) -> float:
    """The bytes of bodies, as the worker counts them."""
    return total(scrape(service.http, service.own_metrics_port), "chat_request_body_bytes")


def holds(service: Service, count: int) -> bool:
    """Whether it comes to that."""
    deadline = time.monotonic() + 10
    while held(service) != count and time.monotonic() < deadline:
        time.sleep(0.05)
    return held(service) == count


def opened(service: Service, clients: ExitStack, data: bytes) -> socket.socket:
    client = clients.enter_context(connect(service.url))
    client.sendall(data)
    return client


def test_uploads_that_stall_take_half_at_the_most_and_others_do_not_notice(keyed: Service) -> None:
    with ExitStack() as clients:
        for _ in range(10):
            opened(keyed, clients, CHAT + GREEDY + STALLED)
        assert holds(keyed, HALF)
        refused = exchange(keyed.url, CHAT + CLOSE + GREEDY + sized(TEXT))
        assert refused.statuses == [429]
        assert (refused.error["code"], refused.error["type"]) == ("body_bytes_exceeded", "bytes")
        assert b"\r\nretry-after: " in refused.data
        assert exchange(keyed.url, CHAT + CLOSE + OTHER + sized(TEXT)).statuses == [200]
    assert holds(keyed, 0)
    assert exchange(keyed.url, CHAT + CLOSE + GREEDY + sized(TEXT)).statuses == [200]


def test_uploads_that_hide_their_size_are_counted_as_they_come(keyed: Service) -> None:
    with ExitStack() as clients:
        for _ in range(10):
            opened(keyed, clients, CHAT + GREEDY + CHUNKED)
        assert keyed.chat(headers=authorized(OTHER)).done
        assert 0 < held(keyed) <= HALF
        assert exchange(keyed.url, CHAT + CLOSE + OTHER + sized(TEXT)).statuses == [200]


def test_a_refusal_counts_as_one_of_the_caller_and_names_it(keyed: Service) -> None:
    with ExitStack() as clients:
        for _ in range(4):
            opened(keyed, clients, CHAT + GREEDY + STALLED)
        assert holds(keyed, HALF)
        reply = keyed.chat(content=TEXT, headers=authorized(GREEDY))
        assert reply.status == 429
    line = keyed.program.line(lambda line: reply.id in line)
    assert line
    facts = json.loads(line)
    assert (facts["outcome"], facts["error_code"]) == ("rejected_quota", "body_bytes_exceeded")


def test_a_request_is_held_while_its_chat_runs(keyed: Service, groq: SimulatedGroq) -> None:
    groq.fail({"silence_s": 1, "after_tokens": 3})
    with ExitStack() as clients:
        client = opened(keyed, clients, CHAT + CLOSE + GREEDY + sized(TEXT))
        receive_until(client, b"data:")
        assert held(keyed) == len(TEXT)
        receive_until(client, b"data: [DONE]")
    assert holds(keyed, 0)


def test_a_row_that_is_still_to_be_written_holds_its_request_even_if_the_client_has_left(
    keyed: Service, groq: SimulatedGroq
) -> None:
    groq.fail({"silence_s": 10, "after_tokens": 3, "times": 1})
    with closing(sqlite3.connect(keyed.database_url.partition(":///")[2], isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        with connect(keyed.url) as client:
            client.sendall(CHAT + GREEDY + sized(TEXT))
            receive_until(client, b"data:")
        groq.wait_until_left(1)
        assert held(keyed) == len(TEXT)
        database.execute("ROLLBACK")
    assert holds(keyed, 0)


@pytest.mark.parametrize(
    "data",
    [
        b"content-length: 2000000\r\n\r\n",
        b"content-length: 500000\r\n\r\n{",
        b"transfer-encoding: chunked\r\n\r\n5\r\n{",
        sized(b"{"),
        sized(b"[" * 900_000),
        sized(b'{"x":' + b"[" * 100 + b"]" * 100 + b"}"),
        sized(TEXT),
    ],
    ids=["too large", "cut", "cut in a chunk", "no JSON", "too many values", "deep", "chat"],
)
def test_whoever_leaves_takes_nothing_along(keyed: Service, groq: SimulatedGroq, data: bytes) -> None:
    groq.fail({"silence_s": 10, "after_tokens": 3, "times": 1})
    with connect(keyed.url) as client:
        client.sendall(CHAT + GREEDY + data)
        time.sleep(0.2)
    assert holds(keyed, 0)


def test_without_keys_a_caller_is_an_address(groq: SimulatedGroq, tmp_path: Path) -> None:
    groq.fail({"words": 1})
    settings = {"MAX_BODY_BYTES": str(LARGEST), "MAX_BODY_BYTES_IN_FLIGHT": str(LIMIT)}
    with service_before(groq, tmp_path, settings) as service, ExitStack() as clients:
        host, port = service.url.removeprefix("http://").split(":")
        for _ in range(6):
            client = socket.create_connection((host, int(port)), timeout=10, source_address=("127.0.0.2", 0))
            clients.enter_context(client).sendall(CHAT + STALLED)
        assert holds(service, HALF)
        assert exchange(service.url, CHAT + CLOSE + sized(TEXT)).statuses == [200]


def authorized(header: bytes) -> dict[str, str]:
    name, _, value = header.decode().strip().partition(": ")
    return {name: value}


def test_many_values_are_refused_and_as_many_characters_are_not(keyed: Service) -> None:
    content = b'{"messages":[{"role":"user","content":"Hi"}],"search_settings":%s}'
    refused = keyed.chat(content=content % (b"[" + b"1," * 120_000 + b"1]"), headers=authorized(GREEDY))
    assert (refused.status, refused.error["code"]) == (413, "body_too_large")
    assert "more than 100000 JSON values" in refused.error["message"]
    assert keyed.chat(content=content % (b'"' + b"[1," * 120_000 + b'"'), headers=authorized(GREEDY)).done
    assert keyed.chat(content=content % (b"[" + b"1," * 90_000 + b"1]"), headers=authorized(GREEDY)).done


def test_a_large_request_may_be_let_in_as_long_as_any_request_may(keyed: Service) -> None:
    text = json.dumps({"messages": [{"role": "user", "content": "x" * (LARGEST - 100)}]}).encode()
    reply = keyed.chat(content=text, headers=authorized(GREEDY))
    assert reply.done
    assert len(keyed.row(reply.id)["prompt"]) == LARGEST - 100
    assert keyed.chat(HELLO, headers=authorized(GREEDY)).done

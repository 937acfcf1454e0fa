"""How answers end: for old clients, for those that still send, and for those that ask for the headers alone."""

import socket
import time
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from tests.support.raw import CHAT, CLOSE, HEALTH, connect, exchange, receive_one, sized
from tests.support.service import DROP_IN, HELLO, PATH, Service, SimulatedGroq

OLD = b"POST %s HTTP/1.0\r\ncontent-type: application/json\r\n"
JSON = {"content-type": "application/json"}


def test_a_stream_to_http_1_0_ends_with_its_connection_and_has_no_chunks(strict: Service) -> None:
    received = exchange(strict.url, OLD % PATH.encode() + sized())
    head, _, body = received.data.partition(b"\r\n\r\n")
    assert received.statuses == [200]
    assert b"transfer-encoding" not in head
    assert b"content-length" not in head
    assert b"\r\nconnection: close" in head
    assert body.startswith(b"data: {")
    assert body.endswith(b"\n\ndata: [DONE]\n\n")
    assert b"\r\n" not in body


def test_a_whole_answer_to_http_1_0_is_its_json_and_no_more(strict: Service) -> None:
    received = exchange(strict.url, OLD % DROP_IN.encode() + sized())
    assert received.statuses == [200]
    assert received.data.partition(b"\r\n\r\n")[2][:1] == b"{"
    assert received.data.endswith(b"}")


def test_what_has_a_length_keeps_it_and_http_1_0_is_sent_no_interim_answer(strict: Service) -> None:
    received = exchange(strict.url, b"GET /healthz HTTP/1.0\r\n\r\n")
    assert b"\r\ncontent-length: 15\r\n" in received.data
    assert received.data.endswith(b'\r\n\r\n{"status":"ok"}')
    assert exchange(strict.url, OLD % PATH.encode() + b"expect: 100-continue\r\n" + sized()).statuses == [200]


def test_an_error_in_the_middle_reaches_http_1_0_too(strict: Service, groq: SimulatedGroq) -> None:
    groq.fail({"ending": "truncate", "after_tokens": 3, "times": 1})
    received = exchange(strict.url, OLD % PATH.encode() + sized())
    assert b"\n\nevent: error\ndata: {" in received.data
    assert b"[DONE]" not in received.data


@pytest.mark.parametrize(
    "path",
    [
        *("/healthz", "/readyz", "/v1/models", "/v1/models/openai/gpt-oss-20b", "/docs", "/openapi.json", "/"),
        *("/page/about", "/page/page.js", "/healthz/", "/nowhere", PATH),
    ],
)
def test_head_is_get_without_its_body(strict: Service, path: str) -> None:
    """One connection for both: a body behind the first answer would be taken for the second one."""
    address = urlsplit(strict.url)
    client = HTTPConnection(address.hostname or "", address.port, timeout=10)
    heads = []
    for method in ("HEAD", "GET"):
        client.request(method, path)
        answer = client.getresponse()
        body = answer.read()
        kept = {name: answer.getheader(name) for name in ("content-type", "content-length", "allow")}
        heads.append((answer.status, kept | {"content-length": None} if answer.status == 404 else kept))
        assert bool(body) is (method == "GET")
    client.close()
    assert heads[0][0] == heads[1][0]
    assert heads[0][1] == heads[1][1] or heads[0][0] == 405  # whose message names the method


def test_what_may_be_asked_for_is_named(strict: Service) -> None:
    assert strict.http.delete(f"{strict.url}/healthz").headers["allow"] == "GET, HEAD"
    assert strict.http.head(strict.url + PATH).headers["allow"] == "POST"


def test_a_slash_at_the_end_is_answered_in_place(strict: Service) -> None:
    """A redirect would go to whatever host the client named."""
    received = exchange(strict.url, b"GET /healthz/?a=b HTTP/1.1\r\nhost: evil.example\r\n" + CLOSE + b"\r\n")
    assert received.statuses == [200]
    assert b"evil.example" not in received.data
    reply = strict.chat(HELLO, path=DROP_IN + "/")
    assert reply.json["object"] == "chat.completion"
    assert strict.row(reply.id)["outcome"] == "completed"


@pytest.mark.parametrize("headers", [JSON, JSON | {"connection": "close"}], ids=["kept open", "to be closed"])
@pytest.mark.parametrize("is_sized", [True, False], ids=["sized", "chunked"])
def test_a_client_that_reads_only_when_it_has_sent_all_of_it_gets_its_413(
    strict: Service, headers: dict[str, str], *, is_sized: bool
) -> None:
    """20 MB where 100 kB are allowed; Python's http.client sends all of it first."""
    address = urlsplit(strict.url)
    piece = b"x" * 100_000
    client = HTTPConnection(address.hostname or "", address.port, timeout=30)
    client.request("POST", PATH, piece * 200 if is_sized else iter([piece] * 200), headers, encode_chunked=not is_sized)
    answer = client.getresponse()
    assert answer.status == 413
    assert b"body_too_large" in answer.read()
    client.close()


@pytest.mark.parametrize("close", [b"", CLOSE], ids=["kept open", "to be closed"])
def test_one_that_goes_on_slowly_gets_it_as_well(strict: Service, close: bytes) -> None:
    """For as long as a request may take, which is a second here."""
    with connect(strict.url) as client:
        client.sendall(CHAT + close + b"content-length: 1000000\r\n\r\n")
        for _ in range(5):
            client.sendall(b"x" * 1000)
            time.sleep(0.1)
        assert receive_one(client) == 413


def test_a_client_that_half_closes_has_left(strict: Service, groq: SimulatedGroq) -> None:
    """As docs/api.md says: TCP tells the two alike, and Groq is not paid for nobody."""
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


def test_a_next_request_follows_a_refused_body_that_came_to_its_end(strict: Service) -> None:
    with connect(strict.url) as client:
        client.sendall(CHAT + b"content-length: 200000\r\n\r\n")
        assert receive_one(client) == 413
        client.sendall(b"x" * 200_000 + HEALTH + b"\r\n")
        assert receive_one(client) == 200

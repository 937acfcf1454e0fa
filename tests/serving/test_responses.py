"""How responses end: for HTTP/1.0, for HEAD, and before the request has been sent completely."""

import re
import time
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from tests.support.raw import CHAT, CLOSE, HEALTH, connect, exchange, receive_one, receive_until, sized
from tests.support.service import DROP_IN, HELLO, PATH, Service, SimulatedGroq

HTTP_1_0 = b"POST %s HTTP/1.0\r\ncontent-type: application/json\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n"
JSON = {"content-type": "application/json"}


def http_connection(service: Service) -> HTTPConnection:
    address = urlsplit(service.url)
    return HTTPConnection(address.hostname or "", address.port, timeout=30)


# ── HTTP/1.0 and HEAD ────────────────────────────────────────────────────────────────────────────────────────────────


def test_stream_over_http_1_0_ends_with_the_connection_and_is_not_chunked(strict: Service) -> None:
    received = exchange(strict.url, HTTP_1_0 % PATH.encode() + sized())
    head, _, body = received.data.partition(b"\r\n\r\n")
    assert received.statuses == [200]
    assert b"transfer-encoding" not in head
    assert b"content-length" not in head
    assert b"\r\nconnection: close" in head
    assert body.startswith(b"data: {")
    assert body.endswith(b"\n\ndata: [DONE]\n\n")
    assert b"\r\n" not in body


def test_json_over_http_1_0_is_not_chunked(strict: Service) -> None:
    received = exchange(strict.url, HTTP_1_0 % DROP_IN.encode() + sized())
    assert received.statuses == [200]
    assert received.data.partition(b"\r\n\r\n")[2][:1] == b"{"
    assert received.data.endswith(b"}")


def test_response_of_known_length_keeps_it_over_http_1_0(strict: Service) -> None:
    received = exchange(strict.url, b"GET /healthz HTTP/1.0\r\n\r\n")
    assert b"\r\ncontent-length: 15\r\n" in received.data
    assert received.data.endswith(b'\r\n\r\n{"status":"ok"}')


def test_http_1_0_gets_no_interim_response(strict: Service) -> None:
    assert exchange(strict.url, HTTP_1_0 % PATH.encode() + b"expect: 100-continue\r\n" + sized()).statuses == [200]


def test_error_in_a_stream_reaches_http_1_0(strict: Service, groq: SimulatedGroq) -> None:
    groq.fail({"ending": "truncate", "after_tokens": 3, "times": 1})
    received = exchange(strict.url, HTTP_1_0 % PATH.encode() + sized())
    assert b"\n\nevent: error\ndata: {" in received.data
    assert b"[DONE]" not in received.data


@pytest.mark.parametrize(
    "path",
    [
        *("/healthz", "/readyz", "/v1/models", "/v1/models/openai/gpt-oss-20b", "/docs", "/openapi.json", "/"),
        *("/page/about", "/page/page.js", "/healthz/", "/nowhere", PATH),
    ],
)
def test_head_is_get_without_a_body(strict: Service, path: str) -> None:
    """Both on one connection: a body after the first response would be read as the second one."""
    client = http_connection(strict)
    responses = []
    for method in ("HEAD", "GET"):
        client.request(method, path)
        response = client.getresponse()
        assert bool(response.read()) is (method == "GET")
        compared = ["content-type", "allow", *(["content-length"] if response.status not in (404, 405) else [])]
        responses.append((response.status, {name: response.getheader(name) for name in compared}))
    client.close()
    assert responses[0] == responses[1]


def test_allowed_methods_are_listed(strict: Service) -> None:
    assert strict.http.delete(f"{strict.url}/healthz").headers["allow"] == "GET, HEAD"
    assert strict.http.head(strict.url + PATH).headers["allow"] == "POST"


def test_paths_of_groq_s_own_clients_are_served(strict: Service) -> None:
    assert strict.chat(path="/openai" + DROP_IN).status == 200
    assert strict.http.get(f"{strict.url}/openai/v1/models/openai/gpt-oss-20b").json()["object"] == "model"
    assert strict.http.get(f"{strict.url}/openai/healthz").status_code == 404


def test_trailing_slash_is_not_redirected(strict: Service) -> None:
    """A redirect would lead to the host that the client's header names."""
    received = exchange(strict.url, b"GET /healthz/?a=b HTTP/1.1\r\nhost: evil.example\r\n" + CLOSE + b"\r\n")
    assert received.statuses == [200]
    assert b"evil.example" not in received.data
    reply = strict.chat(HELLO, path=DROP_IN + "/")
    assert reply.json["object"] == "chat.completion"
    assert strict.row(reply.id)["outcome"] == "completed"


# ── Pipelined requests, and responses before the end of the request ──────────────────────────────────────────────────


def test_pipelined_requests_are_answered_in_order(strict: Service) -> None:
    nowhere = HEALTH.replace(b"/healthz", b"/nowhere")
    requests = [HEALTH, b"\r\n", CHAT, sized(), nowhere, b"\r\n", HEALTH, CLOSE, b"\r\n"]
    assert exchange(strict.url, b"".join(requests)).statuses == [200, 200, 404, 200]


def test_pipelined_requests_have_their_own_traces(strict: Service) -> None:
    traces = [letter * 32 for letter in "ab"]
    models = HEALTH.replace(b"/healthz", b"/v1/models")
    parents = [b"traceparent: 00-%s-00f067aa0ba902b7-01\r\n" % trace.encode() for trace in traces]
    received = exchange(strict.url, models + parents[0] + b"\r\n" + models + CLOSE + parents[1] + b"\r\n")
    assert re.findall(rb"traceresponse: 00-(\w+)-", received.data) == [trace.encode() for trace in traces]


@pytest.mark.parametrize("headers", [JSON, JSON | {"connection": "close"}], ids=["keep-alive", "close"])
@pytest.mark.parametrize("is_sized", [True, False], ids=["sized", "chunked"])
def test_client_that_sends_all_of_its_body_before_it_reads_gets_413(
    small_bodies: Service, headers: dict[str, str], *, is_sized: bool
) -> None:
    """20 MB where 100 kB are accepted, sent by Python's http.client."""
    piece = b"x" * 100_000
    client = http_connection(small_bodies)
    client.request("POST", PATH, piece * 200 if is_sized else iter([piece] * 200), headers, encode_chunked=not is_sized)
    response = client.getresponse()
    assert response.status == 413
    assert b"body_too_large" in response.read()
    client.close()


@pytest.mark.parametrize("close", [b"", CLOSE], ids=["keep-alive", "close"])
def test_client_that_continues_its_body_slowly_gets_413(strict: Service, close: bytes) -> None:
    """Within the time limit for a body, which is one second here."""
    with connect(strict.url) as client:
        client.sendall(CHAT + close + b"content-length: 1000000\r\n\r\n")
        for _ in range(5):
            client.sendall(b"x" * 1000)
            time.sleep(0.1)
        assert receive_one(client) == 413


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        (CHAT + b"content-length: 200000\r\n\r\n", b"x" * 200_000, 413),
        (HEALTH.replace(b"GET", b"POST") + b"content-length: 4\r\n\r\n", b"late", 405),
    ],
)
def test_connection_is_reused_after_the_rest_of_a_refused_body(
    strict: Service, head: bytes, body: bytes, status: int
) -> None:
    with connect(strict.url) as client:
        client.sendall(head)
        assert receive_one(client) == status
        client.sendall(body + CHAT + sized())
        assert receive_one(client) == 200


@pytest.mark.parametrize(
    "second",
    [
        CHAT + b"content-length: zero\r\n\r\n",
        HEALTH.replace(b"host: x", b"host: x/y") + b"\r\n",
        CHAT + CHUNKED + b"\r\n" + b"1\r\nx\r\n" * 2000,
    ],
    ids=["invalid length", "invalid host", "tiny chunks"],
)
def test_refused_pipelined_request_is_not_answered_within_the_answer_before_it(
    strict: Service, groq: SimulatedGroq, second: bytes
) -> None:
    """It ends the connection; the first answer may be incomplete, and nothing else is in it."""
    groq.fail({"words": 40, "tokens_per_s": 40})
    with connect(strict.url) as client:
        client.sendall(CHAT + sized())
        first = receive_until(client, b"data: ")
        client.sendall(second)
        while data := client.recv(65536):
            first += data
    assert first.count(b"HTTP/1.1") == 1


def test_invalid_host_on_a_reused_connection_gets_400(strict: Service) -> None:
    with connect(strict.url) as client:
        client.sendall(HEALTH + b"\r\n")
        assert receive_one(client) == 200
        client.sendall(HEALTH.replace(b"host: x", b"host: x/y") + b"\r\n")
        assert receive_one(client) == 400

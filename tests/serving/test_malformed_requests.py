"""Invalid and unusual HTTP: a response below 500 in the error envelope, and the connection ends."""

import socket

import pytest

from tests.support.raw import BODY, CHAT, CLOSE, HEALTH, HOST, connect, exchange, receive_one, receive_until, sized
from tests.support.service import Service
from tests.support.waiting import wait_until

CHUNKED = b"transfer-encoding: chunked\r\n"
CHAT = CHAT + CLOSE
TRACED = (b"user-agent", b"traceparent", b"tracestate")
TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(190))

INVALID = {
    "garbage": b"\xff\xfe\x00\x01" * 50,
    "TLS": TLS_HELLO,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/3": b"GET / HTTP/3.0\r\n\r\n",
    "unknown protocol": b"GET / FTP/1.1\r\n\r\n",
    "unknown method": b"BREW / HTTP/1.1\r\n\r\n",
    "CONNECT": b"CONNECT db:5432 HTTP/1.1\r\nhost: db\r\n\r\n",
    "NUL in a path": b"GET /\0 HTTP/1.1\r\n\r\n",
    "NUL in a header": HEALTH + b"x: a\0b\r\n\r\n",
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "two hosts": HEALTH + b"host: y\r\n\r\n",
    "a path in the host": HEALTH.replace(HOST, b"host: x/healthz\r\n") + b"\r\n",
    "a host that is not ASCII": HEALTH.replace(HOST, b"host: \xff\\x\r\n") + b"\r\n",
    "header without a name": HEALTH + b": x\r\n\r\n",
    "space after a header's name": HEALTH + b"x : y\r\n\r\n",
    "folded header": HEALTH + b"x: a\r\n b\r\n\r\n",
    "two lengths": CHAT + b"content-length: 5\r\ncontent-length: 6\r\n\r\n{}",
    "repeated length": CHAT + b"content-length: 2\r\ncontent-length: 2\r\n\r\n{}",
    "chunks and a length": CHAT + CHUNKED + b"content-length: 5\r\n\r\n0\r\n\r\n",
    "a length and chunks": CHAT + b"content-length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n",
    "negative length": CHAT + b"content-length: -1\r\n\r\n",
    "length in words": CHAT + b"content-length: five\r\n\r\nhello",
    "length beyond 64 bits": CHAT + b"content-length: 99999999999999999999\r\n\r\n",
    "chunk without a length": CHAT + CHUNKED + b"\r\nzz\r\n",
    "chunk length beyond 64 bits": CHAT + CHUNKED + b"\r\nfffffffffffffffff\r\n",
    "chunk with a wrong length": CHAT + CHUNKED + b"\r\n1\r\nabc\r\n0\r\n\r\n",
    "garbage after a request": HEALTH + b"\r\n\xff\xff",
}


@pytest.mark.parametrize("data", INVALID.values(), ids=INVALID)
def test_invalid_http_gets_400_and_the_connection_is_closed(strict: Service, data: bytes) -> None:
    received = exchange(strict.url, data)
    assert received.statuses == [400]
    assert received.error["type"] == "invalid_request_error"
    assert "HTTP/1.1" in received.error["message"]
    assert b"connection: close\r\n" in received.data


def test_a_refused_client_that_stays_connected_is_not_refused_again(strict: Service) -> None:
    """By the timer of its headers, which would write after the end of the response; `strict` finds the traceback."""
    with connect(strict.url) as client:
        client.sendall(HEALTH + b"no colon\r\n")
        while client.recv(65536):
            pass
        wait_until(lambda: is_reset(client), "the connection stays open")


def is_reset(client: socket.socket) -> bool:
    try:
        client.sendall(b"x")
    except ConnectionError:
        return True
    return False


UNUSUAL = {
    "HTTP/1.0": (b"GET /healthz HTTP/1.0\r\n\r\n", 200),
    "white space after the host": (HEALTH.replace(b"host: x", b"host: x \t") + CLOSE + b"\r\n", 200),
    "absolute URL": (b"GET http://elsewhere/healthz HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", 200),
    "OPTIONS *": (b"OPTIONS * HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", 404),
    "encoded NUL": (b"GET /%00 HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", 404),
    "incomplete percent-encoding": (b"GET /%f HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", 404),
    "path not in UTF-8": (b"GET /%ff%fe HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", 404),
    "dot segments": (b"GET /../../etc/passwd HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", 404),
    "wrong method": (b"DELETE /healthz HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", 405),
    "HEAD": (b"HEAD /api/v1/chat/stream HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", 405),
    "headers not in UTF-8": (HEALTH + CLOSE + b"x-request-id: \xff\xfe\r\ntraceparent: \xff\r\n\r\n", 200),
    "headers that tracing cannot decode": (
        HEALTH + CLOSE + b"".join(b"%s: \xff\\x\r\n" % name for name in TRACED) + b"\r\n",
        200,
    ),
    "invalid forwarded headers": (
        HEALTH + CLOSE + b"x-forwarded-for: ,[::,\xff\r\nx-forwarded-proto: \xff\r\n\r\n",
        200,
    ),
    "two content types": (CHAT + b"content-type: text/plain\r\n" + sized(), 200),
    "two keys": (CHAT + b"authorization: Bearer a\r\nauthorization: Basic b\r\n" + sized(), 200),
    "two request ids": (CHAT + b"x-request-id: a\r\nx-request-id: b\r\n" + sized(), 200),
    "chunks of one byte": (CHAT + CHUNKED + b"\r\n" + b"".join(b"1\r\n%c\r\n" % c for c in BODY) + b"0\r\n\r\n", 200),
    "unknown expectation": (CHAT + b"expect: the-unexpected\r\n" + sized(), 200),
    "no body": (CHAT + b"\r\n", 400),
    "body not in UTF-8": (CHAT + sized(b'{"messages": "\xff"}'), 400),
    "deeply nested body": (CHAT + sized(b'{"messages": ' + b"[" * 90_000), 400),
    "compressed body": (CHAT + b"content-encoding: gzip\r\n" + sized(b"\x1f\x8b\x08\x00\x00"), 400),
}


@pytest.mark.parametrize(("data", "status"), UNUSUAL.values(), ids=UNUSUAL)
def test_unusual_request_gets_its_status(strict: Service, data: bytes, status: int) -> None:
    received = exchange(strict.url, data)
    assert received.statuses == [status]
    if status >= 400 and not data.startswith(b"HEAD"):
        assert received.error["type"] == "invalid_request_error"


def test_expect_100_continue_gets_an_interim_response(strict: Service) -> None:
    with connect(strict.url) as client:
        client.sendall(CHAT + b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(BODY))
        assert receive_until(client, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(BODY)
        assert receive_one(client) == 200


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
def test_upgrade_is_declined_and_the_request_answered(strict: Service, protocol: bytes) -> None:
    """Java's HttpClient offers one in its first request; uvicorn alone drops that request's body."""
    upgrade = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: %s\r\nhttp2-settings: AAMAAABk\r\n" % protocol
    chat = CHAT.removesuffix(CLOSE) + upgrade + sized()
    rest = chat[-10:] + HEALTH + upgrade + b"\r\n"
    received = exchange(strict.url, chat[:-10], rest, HEALTH + CLOSE + b"\r\n", pause_s=0.1)
    assert received.statuses == [200, 200, 200]
    assert b"data: [DONE]" in received.data


def test_trailers_are_not_headers(strict: Service) -> None:
    body = b"\r\n%x\r\n%s\r\n0\r\nx-request-id: late\r\n\r\n" % (len(BODY), BODY)
    received = exchange(strict.url, CHAT + CHUNKED + body)
    assert received.statuses == [200]
    chat_id = received.data.partition(b"x-request-id: ")[2][:36].decode()
    assert strict.row(chat_id)["client_request_id"] is None

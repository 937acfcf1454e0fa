"""Bytes that are no request, or a strange one: an answer below 500, in the envelope, and an end."""

import pytest

from tests.support.raw import BODY, CHAT, CLOSE, HEALTH, connect, exchange, receive_one, receive_until, sized
from tests.support.service import Service

CHUNKED = b"transfer-encoding: chunked\r\n"
CHAT = CHAT + CLOSE
TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(190))

REFUSED_BY_THE_PARSER = {
    "garbage": b"\xff\xfe\x00\x01" * 50,
    "TLS": TLS_HELLO,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/3": b"GET / HTTP/3.0\r\n\r\n",
    "no version": b"GET / FTP/1.1\r\n\r\n",
    "no method": b"BREW / HTTP/1.1\r\n\r\n",
    "CONNECT": b"CONNECT db:5432 HTTP/1.1\r\nhost: db\r\n\r\n",
    "NUL in a path": b"GET /\0 HTTP/1.1\r\n\r\n",
    "NUL in a header": HEALTH + b"x: a\0b\r\n\r\n",
    "no name": HEALTH + b": x\r\n\r\n",
    "a space behind the name": HEALTH + b"x : y\r\n\r\n",
    "a folded header": HEALTH + b"x: a\r\n b\r\n\r\n",
    "two sizes": CHAT + b"content-length: 5\r\ncontent-length: 6\r\n\r\n{}",
    "a size twice": CHAT + b"content-length: 2\r\ncontent-length: 2\r\n\r\n{}",
    "a size and chunks": CHAT + CHUNKED + b"content-length: 5\r\n\r\n0\r\n\r\n",
    "chunks and a size": CHAT + b"content-length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n",
    "a negative size": CHAT + b"content-length: -1\r\n\r\n",
    "a size of words": CHAT + b"content-length: five\r\n\r\nhello",
    "a size beyond 64 bits": CHAT + b"content-length: 99999999999999999999\r\n\r\n",
    "a chunk of no size": CHAT + CHUNKED + b"\r\nzz\r\n",
    "a chunk beyond 64 bits": CHAT + CHUNKED + b"\r\nfffffffffffffffff\r\n",
    "a chunk of another size": CHAT + CHUNKED + b"\r\n1\r\nabc\r\n0\r\n\r\n",
    "bytes instead of a next request": HEALTH + b"\r\n\xff\xff",
}


@pytest.mark.parametrize("data", REFUSED_BY_THE_PARSER.values(), ids=REFUSED_BY_THE_PARSER)
def test_what_is_no_http_is_refused_and_hung_up_on(strict: Service, data: bytes) -> None:
    received = exchange(strict.url, data)
    assert received.statuses == [400]
    assert received.error["type"] == "invalid_request_error"
    assert "HTTP/1.1" in received.error["message"]
    assert b"connection: close\r\n" in received.data


STRANGE = {
    "HTTP/1.0": (b"GET /healthz HTTP/1.0\r\n\r\n", 200),
    "no host": (b"GET /healthz HTTP/1.1\r\n" + CLOSE + b"\r\n", 200),
    "two hosts": (HEALTH + CLOSE + b"host: y\r\n\r\n", 200),
    "a whole URL": (b"GET http://elsewhere/healthz HTTP/1.1\r\n" + CLOSE + b"\r\n", 200),
    "OPTIONS *": (b"OPTIONS * HTTP/1.1\r\n" + CLOSE + b"\r\n", 404),
    "encoded NUL": (b"GET /%00 HTTP/1.1\r\n" + CLOSE + b"\r\n", 404),
    "half an encoding": (b"GET /%f HTTP/1.1\r\n" + CLOSE + b"\r\n", 404),
    "no UTF-8 in a path": (b"GET /%ff%fe HTTP/1.1\r\n" + CLOSE + b"\r\n", 404),
    "dots": (b"GET /../../etc/passwd HTTP/1.1\r\n" + CLOSE + b"\r\n", 404),
    "wrong method": (b"DELETE /healthz HTTP/1.1\r\n" + CLOSE + b"\r\n", 405),
    "HEAD": (b"HEAD /api/v1/chat/stream HTTP/1.1\r\n" + CLOSE + b"\r\n", 405),
    "no UTF-8 in headers": (HEALTH + CLOSE + b"x-request-id: \xff\xfe\r\ntraceparent: \xff\r\n\r\n", 200),
    "nonsense from a proxy": (HEALTH + CLOSE + b"x-forwarded-for: ,[::,\xff\r\nx-forwarded-proto: \xff\r\n\r\n", 200),
    "two types, ours last": (CHAT + b"content-type: text/plain\r\n" + sized(), 200),
    "two keys": (CHAT + b"authorization: Bearer a\r\nauthorization: Basic b\r\n" + sized(), 200),
    "two ids": (CHAT + b"x-request-id: a\r\nx-request-id: b\r\n" + sized(), 200),
    "chunks of one byte": (CHAT + CHUNKED + b"\r\n" + b"".join(b"1\r\n%c\r\n" % c for c in BODY) + b"0\r\n\r\n", 200),
    "an unknown expectation": (CHAT + b"expect: the-unexpected\r\n" + sized(), 200),
    "no body": (CHAT + b"\r\n", 400),
    "no UTF-8 in a body": (CHAT + sized(b'{"messages": "\xff"}'), 400),
    "deep": (CHAT + sized(b'{"messages": ' + b"[" * 90_000), 400),
    "a compressed body": (CHAT + b"content-encoding: gzip\r\n" + sized(b"\x1f\x8b\x08\x00\x00"), 400),
}


@pytest.mark.parametrize(("data", "status"), STRANGE.values(), ids=STRANGE)
def test_what_is_strange_has_its_answer(strict: Service, data: bytes, status: int) -> None:
    received = exchange(strict.url, data)
    assert received.statuses == [status]
    if status >= 400 and not data.startswith(b"HEAD"):
        assert received.error["type"] == "invalid_request_error"


def test_a_client_that_asks_first_is_told_to_go_on(strict: Service) -> None:
    with connect(strict.url) as client:
        client.sendall(CHAT + b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(BODY))
        assert receive_until(client, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(BODY)
        assert receive_one(client) == 200


@pytest.mark.parametrize("offer", [b"h2c", b"websocket"])
def test_an_offer_to_upgrade_is_declined_and_costs_nothing(strict: Service, offer: bytes) -> None:
    """Java's HttpClient makes one with its first request; its body was lost."""
    upgrade = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: %s\r\nhttp2-settings: AAMAAABk\r\n" % offer
    whole = CHAT.removesuffix(CLOSE) + upgrade + sized()
    received = exchange(
        strict.url, whole[:-10], whole[-10:] + HEALTH + upgrade + b"\r\n", HEALTH + CLOSE + b"\r\n", pause_s=0.1
    )
    assert received.statuses == [200, 200, 200]
    assert b"data: [DONE]" in received.data

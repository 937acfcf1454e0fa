"""A client that sends bytes as they are, and takes what comes: for what no library would send."""

import json
import re
import socket
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httptools

from tests.support.service import HELLO, PATH

BODY = json.dumps(HELLO).encode()
CHAT = b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n" % PATH.encode()
"""The head of a chat, up to what says how long its body is."""
HEALTH = b"GET /healthz HTTP/1.1\r\nhost: x\r\n"
CLOSE = b"connection: close\r\n"
PATIENCE_S = 30


def sized(body: bytes = BODY) -> bytes:
    """A body, and the header that says how long it is."""
    return b"content-length: %d\r\n\r\n%s" % (len(body), body)


@dataclass(frozen=True)
class Received:
    """All bytes that came until the server hung up. `seconds` is how long that took."""

    data: bytes
    seconds: float

    @property
    def statuses(self) -> list[int]:
        """Of all answers, interim ones included."""
        return [int(status) for status in re.findall(rb"(?:^|\n|})HTTP/1\.1 (\d{3}) ", self.data)]

    @property
    def error(self) -> dict[str, Any]:
        """Of the last answer; fails if it is not in the envelope."""
        error: dict[str, Any] = json.loads(self.data.rpartition(b"\r\n\r\n")[2])["error"]
        assert error.keys() == {"message", "type", "code", "param"}
        return error


def connect(url: str) -> socket.socket:
    address = urlsplit(url)
    return socket.create_connection((address.hostname, address.port), timeout=PATIENCE_S)


def exchange(url: str, *pieces: bytes, pause_s: float = 0) -> Received:
    """Sends the pieces, and reads until the server hangs up; a server that does not fails the test."""
    start = time.monotonic()
    received = bytearray()
    with connect(url) as client:
        try:
            for piece in pieces:
                client.sendall(piece)
                time.sleep(pause_s)
            while data := client.recv(65536):
                received += data
        except ConnectionError:
            pass
    return Received(bytes(received), time.monotonic() - start)


def receive_one(client: socket.socket) -> int:
    """Reads one whole answer from a connection that stays open; its status."""
    ended: list[bool] = []

    class Listener:
        def on_message_complete(self) -> None:
            ended.append(True)

    parser = httptools.HttpResponseParser(Listener())
    while not ended:
        data = client.recv(65536)
        assert data, "the connection ended before the answer did"
        parser.feed_data(data)
    return int(parser.get_status_code())


def receive_until(client: socket.socket, words: bytes) -> bytes:
    """What comes until then; fails if the connection ends before."""
    received = b""
    while words not in received:
        data = client.recv(65536)
        assert data, received
        received += data
    return received

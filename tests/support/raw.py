"""A client that sends and receives raw bytes, for requests that no library would send."""

import json
import re
import socket
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httptools

from tests.support.service import HELLO, PATH

HOST = b"host: x\r\n"
BODY = json.dumps(HELLO).encode()
CHAT = b"POST %s HTTP/1.1\r\n%scontent-type: application/json\r\n" % (PATH.encode(), HOST)
"""The headers of a chat without those that frame its body."""
HEALTH = b"GET /healthz HTTP/1.1\r\n" + HOST
CLOSE = b"connection: close\r\n"
_TIMEOUT_S = 30


def sized(body: bytes = BODY) -> bytes:
    """A body after its `content-length`."""
    return b"content-length: %d\r\n\r\n%s" % (len(body), body)


@dataclass(frozen=True)
class Received:
    """The bytes received until the server closed the connection, after `seconds`."""

    data: bytes
    seconds: float

    @property
    def statuses(self) -> list[int]:
        """Of all responses, interim ones included."""
        return [int(status) for status in re.findall(rb"(?:^|\n|})HTTP/1\.1 (\d{3}) ", self.data)]

    @property
    def error(self) -> dict[str, Any]:
        """Of the last response; fails unless it has the error envelope."""
        error: dict[str, Any] = json.loads(self.data.rpartition(b"\r\n\r\n")[2])["error"]
        assert error.keys() == {"message", "type", "code", "param"}
        return error


def connect(url: str, *, source: str = "", receive_buffer: int | None = None) -> socket.socket:
    """`source` is the client's address."""
    address = urlsplit(url)
    local = (source, 0) if source else None
    if receive_buffer is None:
        return socket.create_connection((address.hostname, address.port), timeout=_TIMEOUT_S, source_address=local)
    client = socket.socket()
    client.settimeout(_TIMEOUT_S)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)  # before the window is announced
    if local is not None:
        client.bind(local)
    client.connect((address.hostname, address.port))
    return client


def exchange(url: str, *pieces: bytes, pause_s: float = 0) -> Received:
    """Sends the pieces and reads until the server closes the connection. Raises TimeoutError if it does not."""
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
    """Returns the status of one response on a connection that stays open."""
    ended: list[bool] = []

    class Listener:
        def on_message_complete(self) -> None:
            ended.append(True)

    parser = httptools.HttpResponseParser(Listener())
    while not ended:
        data = client.recv(65536)
        assert data, "the connection ended before the response did"
        parser.feed_data(data)
    return int(parser.get_status_code())


def receive_until(client: socket.socket, words: bytes) -> bytes:
    """Returns what was received until `words`; fails if the connection ends before."""
    received = b""
    while words not in received:
        data = client.recv(65536)
        assert data, received
        received += data
    return received

"""A relay before Groq that sends bytes on a connection after its answer has ended, before the next request.

HTTP/1.1 has no request ids: a client that reuses such a connection takes the bytes for the answer to its next request.
"""

import random
import re
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

_ANSWER_AGAIN = "second response"
_BYTES = {
    _ANSWER_AGAIN: b"",  # the answer that has just ended, once more
    "408": b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\ncontent-type: text/ev",
    "line end": b"\r\n",
}
_END = b"\r\n0\r\n\r\n"
_QUESTION = re.compile(rb'"([a-z]+-[0-9]+)"')
_READ = 2**16
_DELAY_S = (0.005, 0.1)
_CROSSED_S = 0.1
"""A request that comes sooner than this after the bytes may have been sent before they arrived: no client can tell."""


class IdleBytes:
    """`sent` counts the bytes by their kind. `crossed` has the ids of questions that may have crossed them."""

    def __init__(self, upstream: str, share: float, seed: int) -> None:
        address = urlsplit(upstream)
        self._upstream = (address.hostname, address.port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self._share = share
        self._rng = random.Random(f"{seed}:idle bytes")
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}{address.path}"
        self.sent = Counter[str]()
        self.crossed = set[str]()

    def accept(self) -> None:
        """Until the listener is shut down."""
        with suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self.listener.accept()[0],), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(self._upstream) as groq:
            for each in (client, groq):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._relay(client, groq)

    def _relay(self, client: socket.socket, groq: socket.socket) -> None:
        """Returns when either side has closed, or when a request may have crossed the bytes."""
        answer, sent_at = b"", 0.0
        due: float | None = None
        while True:
            wait_s = None if due is None else max(0, due - time.monotonic())
            readable = select.select([client, groq], [], [], wait_s)[0]
            if not readable:
                client.sendall(self._unrequested(answer))
                due, sent_at = None, time.monotonic()
                continue
            data = readable[0].recv(_READ)
            if not data:
                return
            if readable[0] is client:
                if time.monotonic() - sent_at < _CROSSED_S:
                    self._note_crossed(client, data)
                    return
                answer, due = b"", None
                groq.sendall(data)
            else:
                client.sendall(data)
                answer += data
                if answer.endswith(_END) and self._rng.random() < self._share:
                    due = time.monotonic() + self._rng.uniform(*_DELAY_S)

    def _note_crossed(self, client: socket.socket, request: bytes) -> None:
        client.settimeout(_CROSSED_S)
        with suppress(TimeoutError):
            while not (found := _QUESTION.search(request)) and (more := client.recv(_READ)):
                request += more
        self.crossed.update([found[1].decode()] if found else [])

    def _unrequested(self, answer: bytes) -> bytes:
        kind = self._rng.choice(list(_BYTES))
        self.sent[kind] += 1
        return _BYTES[kind] or answer


@contextmanager
def sending_idle_bytes(upstream: str, *, share: float, seed: int) -> Iterator[IdleBytes]:
    """Relays to `upstream`, a base URL; after that share of the answers bytes follow."""
    relay = IdleBytes(upstream, share, seed)
    threading.Thread(target=relay.accept, daemon=True).start()
    try:
        yield relay
    finally:
        relay.listener.shutdown(socket.SHUT_RDWR)
        relay.listener.close()

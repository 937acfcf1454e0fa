"""`python -m loadtests.bench.upstream`: a Groq that is cheap enough never to be what is measured.

Events are rendered before, sockets are plain, and a heap knows which token is due next. What it is to answer stands in
the last message: so many tokens, so many a second, the first after so long.
"""

import heapq
import itertools
import selectors
import socket
import sys
import time
from contextlib import suppress
from typing import NoReturn

from loadtests.bench.http1 import message
from loadtests.bench.replies import Reply, Script

_REFUSAL = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"
_READ = 2**16


class Connection:
    """One client, with one request at a time."""

    def __init__(self, peer: socket.socket) -> None:
        self.peer = peer
        self.reply: Reply | None = None
        self._data = b""

    def read(self) -> Script | bytes | None:
        """A request, a refusal of it, or None while there is no whole one. Raises OSError when the client has left."""
        data = self.peer.recv(_READ)
        if not data:
            raise ConnectionResetError
        self._data += data
        if not (request := message(self._data)):
            return None
        _, body, self._data = request
        return Script.of(body) or _REFUSAL


class Upstream:
    """Serves for ever."""

    def __init__(self, listener: socket.socket) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)
        self._due: list[tuple[float, int, Reply, Connection]] = []
        self._numbers = itertools.count()

    def run(self) -> NoReturn:
        while True:
            wait = max(0, self._due[0][0] - time.monotonic()) if self._due else None
            for key, _ in self._selector.select(wait):
                if key.data is None:
                    self._accept()
                else:
                    self._read(key.data)
            self._send_due()

    def _accept(self) -> None:
        peer, _ = self._listener.accept()
        peer.setblocking(False)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(peer, selectors.EVENT_READ, Connection(peer))

    def _read(self, connection: Connection) -> None:
        try:
            asked = connection.read()
        except OSError:
            self._close(connection)
            return
        if isinstance(asked, bytes):
            connection.peer.send(asked)
        elif asked:
            connection.reply = reply = Reply(asked, connection.peer)
            heapq.heappush(self._due, (reply.begin, next(self._numbers), reply, connection))

    def _send_due(self) -> None:
        due, now = self._due, time.monotonic()
        while due and due[0][0] <= now:
            when, number, reply, connection = due[0]
            again = reply.step(when)
            if again is None:
                heapq.heappop(due)
                if reply.cut:
                    self._close(connection)
            else:
                heapq.heapreplace(due, (again, number, reply, connection))

    def _close(self, connection: Connection) -> None:
        if connection.reply:
            connection.reply.left = True
        self._selector.unregister(connection.peer)
        connection.peer.close()


def main() -> int:
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener, suppress(KeyboardInterrupt):
        print(f"http://127.0.0.1:{listener.getsockname()[1]}/openai/v1", flush=True)
        Upstream(listener).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A provider that sends given bytes, for responses that no correct server would send."""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

OK = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunked(*pieces: bytes, end: bool = True) -> list[bytes]:
    """Pieces of a body, each framed as a chunk of HTTP/1.1."""
    framed = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces]
    return [*framed, b"0\r\n\r\n"] if end else framed


@contextmanager
def replaying(writes: Sequence[bytes], *, pause_s: float = 0, hold_s: float = 0, reset: bool = False) -> Iterator[str]:
    """Answers each POST with these writes, one by one, and closes the connection `hold_s` later. Yields a base URL.

    Other requests get 404.
    """
    server = socket.create_server(("127.0.0.1", 0))

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while b"\r\n\r\n" not in connection.recv(65536, socket.MSG_PEEK):
                time.sleep(0.001)
            if not connection.recv(65536).startswith(b"POST"):
                connection.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                return
            for data in writes:
                connection.sendall(data)
                time.sleep(pause_s)
            connection.settimeout(hold_s or 0.001)
            with suppress(TimeoutError):
                connection.recv(1)  # until the client disconnects
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/openai/v1"
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()

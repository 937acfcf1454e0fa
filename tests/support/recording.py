"""An upstream that keeps every request as it came, and answers as it is told to."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Recording:
    """`requests` are whole: headers and body."""

    url: str
    status: int = 200
    body: bytes = b""
    requests: list[str] = field(default_factory=list)


def answer_of(*words: str) -> bytes:
    """A stream of Groq's."""
    deltas = [*({"content": word} for word in words), {}]
    chunks = [
        {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [
            {"index": 0, "delta": delta, "finish_reason": None if delta else "stop"}
        ]}
        for delta in deltas
    ]  # fmt: skip
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"


@contextmanager
def recording() -> Iterator[Recording]:
    """Listens on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            kept.requests.append(f"{self.path}\n{self.headers}{body.decode()}")
            kind = "text/event-stream" if kept.status == 200 else "application/json"
            self.send_response(kept.status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(kept.body)))
            self.end_headers()
            self.wfile.write(kept.body)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    kept = Recording(f"http://127.0.0.1:{server.server_port}/openai/v1", body=answer_of("Hello"))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

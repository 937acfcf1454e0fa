"""A provider that records requests and sends scripted responses."""

import json
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Recording:
    """`requests` have path, headers and body. GET gets 404 and is not recorded.

    The response: `status`, additional `headers` and `body`, after `delay_s`; `cut` closes the connection in the middle
    of the body. `requested` is set when a request has arrived, `disconnected` when its client leaves during the delay.
    """

    url: str
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0
    cut: bool = False
    requests: list[str] = field(default_factory=list)
    requested: threading.Event = field(default_factory=threading.Event)
    disconnected: threading.Event = field(default_factory=threading.Event)

    def answer(self, body: bytes, *, status: int = 200, delay_s: float = 0, cut: bool = False, **headers: str) -> None:
        """Scripts the next responses and clears the recorded requests."""
        self.status, self.body, self.delay_s, self.cut = status, body, delay_s, cut
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.requests.clear()
        self.requested.clear()
        self.disconnected.clear()

    @property
    def sent(self) -> dict[str, object]:
        """The body of the last request."""
        content: dict[str, object] = json.loads(self.requests[-1].partition("\n\n")[2])
        return content


def answer_of(*words: str) -> bytes:
    """A complete stream of chat completion chunks."""
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
    """A provider on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_error(404)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            script.requests.append(f"{self.path}\n{self.headers}{body.decode()}")
            script.requested.set()
            readable, _, _ = select.select([self.connection], [], [], script.delay_s)
            if readable:
                script.disconnected.set()
                self.close_connection = True
                return
            streams = script.status == 200 and json.loads(body).get("stream")
            self.send_response(script.status)
            kind = "text/event-stream" if streams else "application/json"
            headers = {"content-type": kind, "content-length": str(len(script.body))}
            for name, value in (headers | script.headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(script.body[: len(script.body) // 2] if script.cut else script.body)
            self.close_connection = script.cut

        def log_message(self, *_: object) -> None:
            """Logs nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    script = Recording(f"http://127.0.0.1:{server.server_port}/openai/v1", body=answer_of("Hello"))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

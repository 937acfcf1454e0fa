"""`python -m loadtests.bench.receiver`: takes spans over OTLP and counts them, and scrapes metrics as Prometheus does.

`GET /` tells how many spans of each name have come, `PUT /scrape` which ports are to be scraped, every five seconds.
"""

import json
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_EVERY_S = 5  # as deploy/prometheus does
_OPENMETRICS = {"accept": "application/openmetrics-text; version=1.0.0"}

_spans: Counter[str] = Counter()
_ports: list[int] = []


class Handler(BaseHTTPRequestHandler):
    """Keeps connections open, as collectors do."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/v1/traces":
            sent = ExportTraceServiceRequest.FromString(body)
            _spans.update(span.name for one in sent.resource_spans for scope in one.scope_spans for span in scope.spans)
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(json.dumps(_spans).encode())

    def do_PUT(self) -> None:
        _ports[:] = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self._answer(b"")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        pass


def _scrape_for_ever() -> None:
    with httpx2.Client(trust_env=False, headers=_OPENMETRICS) as http:
        while True:
            for port in _ports:
                with suppress(httpx2.TransportError):
                    http.get(f"http://127.0.0.1:{port}/metrics")
            time.sleep(_EVERY_S)


def main() -> int:
    threading.Thread(target=_scrape_for_ever, daemon=True).start()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, suppress(KeyboardInterrupt):
        server.daemon_threads = True
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The metrics port of a worker: answered in threads of its own, and never on the public port."""

import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import msgspec
import structlog
from prometheus_client import CollectorRegistry, make_wsgi_app

from app.core.background import run_in_daemon
from app.core.config import Settings

_POLL_S = 0.2

log = structlog.get_logger(__name__)


CHATS_PATH = "/chats"


class MetricsServer:
    """Listens on `METRICS_PORT` plus the worker's slot. A worker whose port is taken serves chats without metrics.

    `/chats` has the `running_chats`, which are read in a thread.
    """

    def __init__(self, registry: CollectorRegistry, settings: Settings) -> None:
        self.running_chats: Iterable[Any] = ()
        self._metrics = make_wsgi_app(registry)
        self._settings = settings
        self._server: _Server | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answers until this is left."""
        self._start()
        try:
            yield
        finally:
            await self.close()

    async def close(self) -> None:
        """Closes the port and its connections. It may be called again."""
        server, self._server = self._server, None
        if server is not None:
            await run_in_daemon(server.stop, name="metrics stop")

    def _start(self) -> None:
        settings = self._settings
        port = settings.metrics_port and settings.metrics_port + settings.worker_slot
        try:
            server = _Server((settings.metrics_host, port), settings)
        except (OSError, OverflowError) as exc:
            log.error("metrics_server.failed", host=settings.metrics_host, port=port, error=str(exc))
            return
        server.set_app(self._respond)
        self._server = server
        threading.Thread(target=server.serve_forever, args=(_POLL_S,), name="metrics", daemon=True).start()
        log.info("metrics.served", host=settings.metrics_host, port=server.server_port, pid=os.getpid())

    def _respond(self, environ: dict[str, Any], start_response: Any) -> Any:
        if environ["PATH_INFO"] != CHATS_PATH:
            return self._metrics(environ, start_response)
        body = msgspec.json.encode({"worker": self._settings.worker_slot, "chats": list(self.running_chats)})
        start_response("200 OK", [("content-type", "application/json"), ("content-length", str(len(body)))])
        return [body]


class _Server(ThreadingMixIn, WSGIServer):
    """A thread for each connection, which has one request within the time limit.

    At the maximum number of connections, a new one closes the oldest, so that idle ones do not block Prometheus.
    """

    daemon_threads = True
    request_queue_size = 128  # with the library's 5, a burst of connections would delay a scrape by seconds

    def __init__(self, address: tuple[str, int], settings: Settings) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._timeout_s = settings.metrics_timeout_s
        self._max_connections = settings.metrics_max_connections
        self._deadlines: dict[Any, float] = {}  # of open connections, the oldest first
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Without the library's look-up of the host's name, which may take long and has no use here."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            if len(self._deadlines) >= self._max_connections:
                self._disconnect(next(iter(self._deadlines)))
            self._deadlines[request] = time.monotonic() + self._timeout_s
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._deadlines.pop(request, None)
        super().shutdown_request(request)

    def stop(self) -> None:
        """Closes the port and all connections. Blocks for up to `_POLL_S`."""
        self.shutdown()
        self.server_close()
        with self._lock:
            for request in list(self._deadlines):
                self._disconnect(request)

    def service_actions(self) -> None:
        """Closes overdue connections; called after each new one, and every `_POLL_S`."""
        now = time.monotonic()
        with self._lock:
            for request in [each for each, deadline in self._deadlines.items() if deadline <= now]:
                self._disconnect(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores a client that has left or was disconnected: the library would print a traceback."""

    def _disconnect(self, request: Any) -> None:
        """Shuts the connection down, so that its thread, which waits for the client, ends."""
        self._deadlines.pop(request, None)
        with suppress(OSError):
            request.shutdown(socket.SHUT_RDWR)


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Logs no scrapes."""

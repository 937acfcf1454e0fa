"""Where Prometheus asks: a port of the worker's own, in threads of their own, and never the public port."""

import asyncio
import os
import socket
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import structlog
from prometheus_client import CollectorRegistry, make_wsgi_app

from app.core.config import Settings

_POLL_S = 0.2

log = structlog.get_logger(__name__)


class MetricsServer:
    """`METRICS_PORT` plus the worker's slot is the port. A worker that cannot have it serves chats all the same."""

    def __init__(self, registry: CollectorRegistry, settings: Settings) -> None:
        self._registry = registry
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
        """Frees the port. It may be called again."""
        server, self._server = self._server, None
        if server is None:
            return
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()

        def stop() -> None:
            server.stop()
            with suppress(RuntimeError):  # the loop is closed: nothing waits any longer
                loop.call_soon_threadsafe(stopped.set)

        # Not in the loop's own pool of threads, which may be full of calls that hang.
        threading.Thread(target=stop, name="metrics stop", daemon=True).start()
        await stopped.wait()

    def _start(self) -> None:
        settings = self._settings
        port = settings.metrics_port and settings.metrics_port + settings.worker_slot
        try:
            server = _Server((settings.metrics_host, port), settings)
        except (OSError, OverflowError) as exc:
            log.error("metrics.not_served", host=settings.metrics_host, port=port, error=str(exc))
            return
        server.set_app(make_wsgi_app(self._registry))
        self._server = server
        threading.Thread(target=server.serve_forever, args=(_POLL_S,), name="metrics", daemon=True).start()
        log.info("metrics.served", host=settings.metrics_host, port=server.server_port, pid=os.getpid())


class _Server(ThreadingMixIn, WSGIServer):
    """A thread for each connection, which has one request, within the time limit.

    Where there are as many as allowed, a new one takes the place of the oldest: connections that ask nothing do not
    keep Prometheus out.
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
        """Without asking a name server for the host's name, which may take long, and which nobody needs."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            if len(self._deadlines) >= self._max_connections:
                self._hang_up(next(iter(self._deadlines)))
            self._deadlines[request] = time.monotonic() + self._timeout_s
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._deadlines.pop(request, None)
        super().shutdown_request(request)

    def stop(self) -> None:
        """Blocks for a moment. Connections are closed with it."""
        self.shutdown()
        self.server_close()
        with self._lock:
            for request in list(self._deadlines):
                self._hang_up(request)

    def service_actions(self) -> None:
        """After each connection, and when there has been none for `_POLL_S`."""
        now = time.monotonic()
        with self._lock:
            for request in [each for each, deadline in self._deadlines.items() if deadline <= now]:
                self._hang_up(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has left, or was hung up on: the library would write its traceback to stderr."""

    def _hang_up(self, request: Any) -> None:
        """Its thread, which waits for the client, goes on and ends."""
        self._deadlines.pop(request, None)
        with suppress(OSError):
            request.shutdown(socket.SHUT_RDWR)


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Scrapes are no news."""

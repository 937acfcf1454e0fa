"""uvicorn's server with a drain: after SIGTERM or SIGINT, running chats may finish and new ones are refused."""

import asyncio
import gc
import math
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from app.core.config import Settings
from app.services.chat.timeouts import Drain
from app.serving.protocol import limited_protocol

AFTER_DRAIN_S = 5
"""How much longer each layer waits at a stop than the one inside it: chats (DRAIN_TIMEOUT_S), uvicorn, gunicorn, the
container."""
_USER_TIMEOUT_MARGIN_S = 2
_HEARTBEAT_S = 1
_SWITCH_INTERVAL_S = 0.0005
"""How long threads for spans and scrapes may hold the GIL while the event loop waits; Python's default is 5 ms."""


class Server(uvicorn.Server):
    """Starts the drain at the first SIGTERM or SIGINT. A second SIGINT ends the chats, and still stores their rows."""

    def __init__(
        self,
        config: uvicorn.Config,
        app: FastAPI,
        on_started: Callable[[], None] = lambda: None,
        *,
        drain_delay_s: float = 0,
    ) -> None:
        super().__init__(config)
        self._settings: Settings = app.state.settings
        self._drain: Drain = app.state.drain
        self._on_started = on_started
        self._drain_delay_s = drain_delay_s
        self._loop: asyncio.AbstractEventLoop | None = None
        config.http = limited_protocol(self._settings)  # type: ignore[assignment] # uvicorn only calls it
        config.reset_contextvars = True  # otherwise a pipelined request would be part of the trace before it
        config.ws = "none"  # there are no websockets, and they would bypass the limits
        # By default uvicorn and gunicorn trust proxy headers from loopback.
        config.proxy_headers = bool(self._settings.forwarded_allow_ips)
        config.forwarded_allow_ips = self._settings.forwarded_allow_ips
        config.timeout_graceful_shutdown = math.ceil(self._settings.drain_timeout_s) + AFTER_DRAIN_S

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        for listener in sockets or []:  # connections inherit the options
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._settings.client_buffer_bytes)
            _set_user_timeout(listener, self._settings.client_write_timeout_s + _USER_TIMEOUT_MARGIN_S)
        await super().startup(sockets)
        _tune_gc()
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        self._on_started()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal starts the drain, SIGTERM after the delay; a second Ctrl-C ends it."""
        delay_s, self._drain_delay_s = self._drain_delay_s, 0
        if delay_s and sig == signal.SIGTERM and self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.call_later, delay_s, self.handle_exit, sig, None)
            return
        super().handle_exit(sig, frame)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._drain.start, self._settings.drain_timeout_s)

    def expire_drain(self) -> None:
        """Ends all chats now, with an error event and a row."""
        self._drain_delay_s = 0
        self.handle_exit(signal.SIGTERM, None)
        self._drain.expire()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        heartbeat = asyncio.create_task(self._notify_gunicorn(), name="heartbeat")
        try:
            await super().shutdown(sockets)
        finally:
            heartbeat.cancel()
        if self.force_exit:  # a second Ctrl-C: uvicorn would not close the lifespan, and rows would not be written
            self._drain.expire()
            for task in self.server_state.tasks:
                task.cancel()
            await self.lifespan.shutdown()

    async def _notify_gunicorn(self) -> None:
        """Sends gunicorn the worker's heartbeat during the drain, when uvicorn's main loop has ended."""
        while self.config.callback_notify is not None:
            await self.config.callback_notify()
            await asyncio.sleep(_HEARTBEAT_S)


def _tune_gc() -> None:
    """Excludes objects from the start from garbage collection, and makes full collections rare.

    A full collection blocks the event loop. Streams create few reference cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(25_000, 10, 100)
    gc.enable()


def _set_user_timeout(listener: socket.socket, seconds: float) -> None:
    """Closes connections whose client accepts no data, after its chat was ended as stalled.

    Their send buffer is full, so the kernel would keep them open for long.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # pragma: no branch - macOS has none
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, math.ceil(seconds) * 1000)

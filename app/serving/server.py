"""uvicorn's server, and how it stops: told so, it lets nobody in, and lets those who are in finish."""

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
from app.services.chat.drain import Drain
from app.serving.protocol import limited

AFTER_DRAIN_S = 5
"""How much longer each layer waits than the one inside it: streams, then uvicorn, then gunicorn, then the container."""
_BURIAL_S = 2
_HEARTBEAT_S = 1
_TURN_S = 0.0005
"""How long a thread that sends spans or answers a scrape may keep the event loop waiting; by default, 5 ms."""


class Server(uvicorn.Server):
    """Begins the drain with the signal, and when it is in a hurry, it cuts streams short, not rows."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, on_started: Callable[[], None] = lambda: None) -> None:
        super().__init__(config)
        self._settings: Settings = app.state.settings
        self._drain: Drain = app.state.drain
        self._on_started = on_started
        self._loop: asyncio.AbstractEventLoop | None = None
        config.http = limited(self._settings)  # type: ignore[assignment] # all that uvicorn does with it is to call it
        config.ws = "none"  # no websockets here: they would leave the protocol, and its limits
        # uvicorn and gunicorn would believe whatever comes from loopback.
        config.proxy_headers = bool(self._settings.forwarded_allow_ips)
        config.forwarded_allow_ips = self._settings.forwarded_allow_ips
        config.timeout_graceful_shutdown = math.ceil(self._settings.drain_timeout_s) + AFTER_DRAIN_S

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        for listener in sockets or []:  # connections inherit these from it
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._settings.client_buffer_bytes)
            _give_up_on_dead_peers(listener, self._settings.client_write_timeout_s + _BURIAL_S)
        await super().startup(sockets)
        _spare_the_collector()
        sys.setswitchinterval(_TURN_S)
        self._on_started()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A first signal begins the drain; a second Ctrl-C ends it."""
        super().handle_exit(sig, frame)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._drain.start, self._settings.drain_timeout_s)

    def hurry(self) -> None:
        """Streams are ended with an error event and a row, now."""
        self.handle_exit(signal.SIGTERM, None)
        self._drain.expire()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        heartbeat = asyncio.create_task(self._beat(), name="heartbeat")
        try:
            await super().shutdown(sockets)
        finally:
            heartbeat.cancel()
        if self.force_exit:  # a second Ctrl-C: uvicorn would leave the lifespan open, and the rows unwritten
            self._drain.expire()
            for task in self.server_state.tasks:
                task.cancel()
            await self.lifespan.shutdown()

    async def _beat(self) -> None:
        """Gunicorn is to hear that the worker is alive while it drains too, when uvicorn's own loop has ended."""
        while self.config.callback_notify is not None:
            await self.config.callback_notify()
            await asyncio.sleep(_HEARTBEAT_S)


def _spare_the_collector() -> None:
    """What was made at the start stays: the collector need not look through it again and again while streams wait. And
    of what streams make, next to nothing is in a cycle that lives for long: it may look through all of them seldom.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 100)
    gc.enable()


def _give_up_on_dead_peers(listener: socket.socket, seconds: float) -> None:
    """A client that takes nothing leaves a full buffer behind, which would keep its connection open for long.

    The chat is ended first, with an outcome of its own.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT") and listener.family in (socket.AF_INET, socket.AF_INET6):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, math.ceil(seconds) * 1000)

"""gunicorn's worker and gunicorn's lines. `deploy/gunicorn.conf.py` names both."""

import asyncio
import os
import signal
import sys
from typing import Any

from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger as GunicornLogger
from uvicorn_worker import UvicornWorker

from app.core.environment import read_settings
from app.observability import logs
from app.observability.telemetry import identity
from app.serving.event_loop import LOOP
from app.serving.server import Server


class Worker(UvicornWorker):
    """Runs our server, which drains; SIGQUIT, gunicorn's word for hurry, cuts the drain short."""

    CONFIG_KWARGS = {**UvicornWorker.CONFIG_KWARGS, "loop": LOOP, "access_log": False, "server_header": False}  # noqa: RUF012

    def init_signals(self) -> None:
        super().init_signals()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a reload is the master's business, whoever else is told of it

    async def callback_notify(self) -> None:
        """A worker whose master has died is nobody's: it drains, and leaves the port to the next ones."""
        await super().callback_notify()
        if os.getppid() != self.ppid:
            self._server.handle_exit(signal.SIGTERM, None)

    async def _serve(self) -> None:
        self.config.app = self.wsgi
        self._server = server = Server(self.config, self.wsgi)
        asyncio.get_running_loop().add_signal_handler(signal.SIGQUIT, server.hurry)
        # Python's sockets, not gunicorn's wrappers: those complain when the loop has closed theirs already.
        await server.serve(sockets=[listener.sock for listener in self.sockets])
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)


class Logger(GunicornLogger):
    """gunicorn's own lines take the same pipe as all others."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        settings = read_settings()
        master = identity(settings) | {"worker": "master"}
        logs.configure(settings.log_format, master, exception_messages=settings.stores_content)

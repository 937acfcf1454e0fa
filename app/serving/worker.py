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
from app.serving.event_loop import LOOP
from app.serving.server import Server

_LOOK_AT_MASTER_S = 0.5


class Worker(UvicornWorker):
    """Runs our server, which drains; SIGQUIT, gunicorn's word for hurry, cuts the drain short."""

    CONFIG_KWARGS = {**UvicornWorker.CONFIG_KWARGS, "loop": LOOP, "access_log": False, "server_header": False}  # noqa: RUF012

    def init_signals(self) -> None:
        super().init_signals()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a reload is the master's business, whoever else is told of it

    async def _serve(self) -> None:
        self.config.app = self.wsgi
        server = Server(self.config, self.wsgi)
        asyncio.get_running_loop().add_signal_handler(signal.SIGQUIT, server.hurry)
        watching = asyncio.create_task(self._watch_master(server), name="master")
        # Python's sockets, not gunicorn's wrappers: those complain when the loop has closed theirs already.
        await server.serve(sockets=[listener.sock for listener in self.sockets])
        watching.cancel()
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    async def _watch_master(self, server: Server) -> None:
        """Drains when the master has died, and frees its ports first: another service is to start in its place."""
        has_master = True
        while has_master:
            await asyncio.sleep(_LOOK_AT_MASTER_S)
            has_master = os.getppid() == self.ppid
        self.log.error("the master (pid %s) has died: this worker finishes its streams and ends", self.ppid)
        server.handle_exit(signal.SIGTERM, None)
        await self.wsgi.state.free_metrics_port()


class Logger(GunicornLogger):
    """gunicorn's own lines take the same pipe as all others."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        logs.configure(read_settings(), worker="master")

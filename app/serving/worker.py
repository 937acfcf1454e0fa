"""The worker and the logger for gunicorn. `deploy/gunicorn.conf.py` names both."""

import asyncio
import faulthandler
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

_MASTER_CHECK_S = 0.5


class Worker(UvicornWorker):
    """Runs Server, which drains. SIGQUIT, gunicorn's signal for a quick shutdown, ends the drain.

    SIGUSR2 writes to stderr what the event loop's thread executes, also while it is blocked.
    """

    CONFIG_KWARGS = {**UvicornWorker.CONFIG_KWARGS, "loop": LOOP, "access_log": False, "server_header": False}  # noqa: RUF012

    def init_signals(self) -> None:
        super().init_signals()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the master handles reloads, also of a signal to the group
        # Of this thread only: without the GIL, the stacks of running threads may change, which crashed workers.
        faulthandler.register(signal.SIGUSR2, all_threads=False, chain=False)

    async def _serve(self) -> None:
        self.config.app = self.wsgi
        # In a reload, gunicorn sends SIGTERM to the old workers when it has forked new ones, which may not listen yet.
        server = Server(self.config, self.wsgi, drain_delay_s=self.wsgi.state.settings.drain_delay_s)
        asyncio.get_running_loop().add_signal_handler(signal.SIGQUIT, server.expire_drain)
        watcher = asyncio.create_task(self._watch_master(server), name="master")
        # Python's sockets: gunicorn's wrappers raise when the event loop has closed the socket.
        await server.serve(sockets=[listener.sock for listener in self.sockets])
        watcher.cancel()
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    async def _watch_master(self, server: Server) -> None:
        """Drains when the master has died, and frees the metrics port, so that a new service can start."""
        has_master = True
        while has_master:
            await asyncio.sleep(_MASTER_CHECK_S)
            has_master = os.getppid() == self.ppid
        self.log.error("the master (pid %s) has died: this worker finishes its chats and exits", self.ppid)
        server.handle_exit(signal.SIGTERM, None)
        await self.wsgi.state.release_metrics_port()


class Logger(GunicornLogger):
    """Writes gunicorn's lines in the service's format."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        logs.configure(read_settings(), worker="master")

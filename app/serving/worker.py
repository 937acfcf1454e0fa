"""gunicorn's worker and gunicorn's lines. `deploy/gunicorn.conf.py` names both."""

import asyncio
import signal
import sys
from typing import Any

from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger as GunicornLogger
from uvicorn_worker import UvicornWorker

from app.core.config import read_settings
from app.observability import logs
from app.observability.telemetry import identity
from app.serving.server import Server


class Worker(UvicornWorker):
    """Runs our server, which drains; SIGQUIT, gunicorn's word for hurry, cuts the drain short."""

    CONFIG_KWARGS = {**UvicornWorker.CONFIG_KWARGS, "access_log": False, "server_header": False}  # noqa: RUF012

    async def _serve(self) -> None:
        self.config.app = self.wsgi
        server = Server(self.config, self.wsgi)
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
        logs.configure(settings.log_format, identity(settings) | {"worker": "master"})

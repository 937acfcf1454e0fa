"""`python -m app run`: the service on this machine, with nothing else installed."""

import math
import socket
import sys
from contextlib import ExitStack, suppress

import uvicorn

from app.commands.banner import banner
from app.commands.migrate import migrate
from app.core.config import Settings
from app.main import create_app
from app.observability import logs

_BURIAL_S = 2  # its chat is ended first, with an outcome of its own


def run(settings: Settings) -> int:
    """Migrates the database, stands a simulator in for Groq if there is no key, and serves until Ctrl-C."""
    listener = _listen(settings)
    if listener is None:
        return 1
    with ExitStack() as stack:
        stack.enter_context(listener)
        logs.configure(settings.log_format)
        code = migrate(settings, quiet=True)
        if code:
            return code
        if settings.groq_api_key is None and settings.groq_simulator_url is None:
            from app.simulator.server import running_beside  # noqa: PLC0415 - only where it stands in for Groq

            settings = settings.model_copy(update={"groq_simulator_url": stack.enter_context(running_beside())})
        config = uvicorn.Config(
            create_app(settings),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=math.ceil(settings.shutdown_grace_s),
        )
        server = _Server(config, banner(settings, listener))
        with suppress(KeyboardInterrupt):  # uvicorn has stopped in good order, and passes the signal on
            server.run(sockets=[listener])
    return 0 if server.started else 1


def _listen(settings: Settings) -> socket.socket | None:
    """The port is taken before anything else is begun, so that a port in use is the first thing said."""
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # A client that takes nothing leaves a full buffer behind, which would keep its connection open for long.
            timeout_ms = math.ceil(settings.client_stall_timeout_s + _BURIAL_S) * 1000
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout_ms)
        return listener
    except OSError as exc:
        reason = (exc.strerror or str(exc)).partition(" (")[0]  # without what asyncio's servers would add to it
        sys.stderr.write(
            f"cannot listen on {settings.host}:{settings.port} ({reason}): "
            "set PORT to a free port, for example PORT=8001, or HOST to an address of this machine\n"
        )
        return None


class _Server(uvicorn.Server):
    """Says what to try next, once it can be tried; and when it is in a hurry, it cuts streams short, not rows."""

    def __init__(self, config: uvicorn.Config, greeting: str) -> None:
        super().__init__(config)
        self._greeting = greeting

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(self._greeting, flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        if self.force_exit:  # a second Ctrl-C: uvicorn would leave the lifespan open, and the rows unwritten
            for task in self.server_state.tasks:
                task.cancel()
            await self.lifespan.shutdown()

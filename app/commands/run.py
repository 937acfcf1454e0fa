"""`python -m app run`: the service on this machine, without other programs."""

import signal
import socket
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.supervisors.statreload import StatReload

from app.commands.banner import banner
from app.commands.migrate import migrate
from app.commands.output import OutputFailed, fail, show
from app.core.config import Settings
from app.core.environment import read_settings
from app.main import create_app
from app.observability import logs
from app.observability.trace_file import TRACE_FILE
from app.serving.checks import cannot_listen, outbox_problems, port_problem, reason
from app.serving.event_loop import LOOP
from app.serving.server import Server

_DEMO_TOKENS_PER_S = 100
_PACKAGE = Path(__file__).parents[1]
_RELOAD_DRAIN_S = 1


def run(settings: Settings, *, reload: bool = False) -> int:
    """Migrate the database, start a simulated Groq if there is no key, and serve until Ctrl-C.

    With `reload` a child process serves, and is replaced when a file of the package changes.
    """
    listener = _listen(settings)
    if listener is None:
        return 1
    with listener:
        if not reload:
            return _serve(settings, listener)
        logs.configure(settings)
        config = uvicorn.Config("app.main:create_app", log_config=None, reload=True, reload_dirs=[str(_PACKAGE)])
        StatReload(config, target=_serve_in_child, sockets=[listener]).run()
    return 0


def _serve_in_child(sockets: list[socket.socket] | None) -> None:
    """Serves without waiting long for running chats, as the developer waits for the reload."""
    [listener] = sockets or []
    sys.exit(_serve(read_settings().model_copy(update={"drain_timeout_s": _RELOAD_DRAIN_S}), listener))


def _serve(settings: Settings, listener: socket.socket) -> int:
    update: dict[str, Any] = {"web_concurrency": 1, "worker_slot": 0, "trace_file": settings.trace_file or TRACE_FILE}
    settings = settings.model_copy(update=update)
    with ExitStack() as stack:
        if problems := outbox_problems(settings):
            return fail("\n".join(problems))
        logs.configure(settings)
        if migrate(settings, quiet=True) != 0:
            return 1
        if settings.groq_api_key is None and settings.groq_simulator_url is None:
            from app.simulator.app import running_beside  # noqa: PLC0415 - only where it stands in for Groq

            speed = settings.groq_simulator_tokens_per_s or _DEMO_TOKENS_PER_S
            simulator = {
                "groq_simulator_url": stack.enter_context(running_beside(speed)),
                "groq_simulator_tokens_per_s": speed,
            }
            settings = settings.model_copy(update=simulator)
        app = create_app(settings)
        config = uvicorn.Config(app, loop=LOOP, log_config=None, access_log=False, server_header=False)
        server = Server(config, app, on_started=lambda: _print_banner(settings, listener))
        signal.signal(signal.SIGHUP, server.handle_exit)  # a closed terminal stops it gracefully
        # For a SIGTERM before uvicorn has its own handler, which would otherwise end this process or be lost. uvicorn
        # raises the signal again for this handler when it has stopped.
        signal.signal(signal.SIGTERM, server.handle_exit)
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listener])
    return 0 if server.started else 1


def _print_banner(settings: Settings, listener: socket.socket) -> None:
    if sys.stdout is None:  # the process was started without it
        return
    with suppress(OutputFailed):
        show(banner(settings, listener), flush=True)


def _listen(settings: Settings) -> socket.socket | None:
    """Take the ports before anything else, so that a port in use is reported first."""
    host, port = settings.host, settings.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as exc:
        fail(cannot_listen("PORT", host, port, reason(exc)))
        return None
    if why := port_problem(settings.metrics_host, settings.metrics_port):
        listener.close()
        fail(cannot_listen("METRICS_PORT", settings.metrics_host, settings.metrics_port, why))
        return None
    return listener

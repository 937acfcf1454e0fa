"""`python -m app run`: the service on this machine, without other programs."""

import signal
import socket
import sys
from contextlib import ExitStack, suppress
from typing import Any

import uvicorn

from app.commands.banner import banner
from app.commands.migrate import migrate
from app.core.config import Settings
from app.main import create_app
from app.observability import logs
from app.observability.trace_file import TRACE_FILE
from app.serving.checks import cannot_listen, outbox_problems, port_problem, reason
from app.serving.event_loop import LOOP
from app.serving.server import Server

_DEMO_TOKENS_PER_S = 100


def run(settings: Settings) -> int:
    """Migrate the database, start a simulated Groq if there is no key, and serve until Ctrl-C."""
    settings = settings.model_copy(update=_for_one_machine(settings))
    listener = _listen(settings)
    if listener is None:
        return 1
    with ExitStack() as stack:
        stack.enter_context(listener)
        if problems := outbox_problems(settings):
            sys.stderr.write("\n".join([*problems, ""]))
            return 1
        logs.configure(settings)
        code = migrate(settings, quiet=True)
        if code:
            return code
        if settings.groq_api_key is None and settings.groq_simulator_url is None:
            from app.simulator.server import running_beside  # noqa: PLC0415 - only where it stands in for Groq

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
        # uvicorn stops gracefully, and then raises the signal again for the handler before its own.
        signal.signal(signal.SIGTERM, lambda *_: None)
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listener])
    return 0 if server.started else 1


def _print_banner(settings: Settings, listener: socket.socket) -> None:
    with suppress(OSError):  # stdout is closed
        print(banner(settings, listener), flush=True)


def _for_one_machine(settings: Settings) -> dict[str, Any]:
    return {"web_concurrency": 1, "worker_slot": 0, "trace_file": settings.trace_file or TRACE_FILE}


def _listen(settings: Settings) -> socket.socket | None:
    """Take the ports before anything else, so that a port in use is reported first."""
    host, port = settings.host, settings.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as exc:
        sys.stderr.write(cannot_listen("PORT", host, port, reason(exc)) + "\n")
        return None
    if why := port_problem(settings.metrics_host, settings.metrics_port):
        listener.close()
        sys.stderr.write(cannot_listen("METRICS_PORT", settings.metrics_host, settings.metrics_port, why) + "\n")
        return None
    return listener

"""gunicorn in production: `make serve` and the image's command. What differs between deployments is in the settings.

A deadline that is nested in another has to end first, or the outer one kills the process before the inner one has
written its rows: streams DRAIN_TIMEOUT_S (20 s) < uvicorn 25 s < gunicorn 30 s < the container's grace period 35 s.

A reload (SIGHUP) replaces the workers, one generation by the next. Settings are those that were checked at the start:
for new ones, or for new code, start a new process. gunicorn does nothing else until the old generation has ended, so a
stop that follows at once takes two drains; containers are replaced instead.
"""

import gc
import math
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

gc.disable()  # imports make objects that stay: looking through them again and again is a quarter of the start

from app.db.reservations import Reservations  # noqa: E402
from app.serving.checks import check_ports, settings_or_exit  # noqa: E402
from app.serving.server import AFTER_DRAIN_S  # noqa: E402

_settings = settings_or_exit()

wsgi_app = "app.main:create_app()"
worker_class = "app.serving.worker.Worker"
logger_class = "app.serving.worker.Logger"
workers = _settings.web_concurrency
bind = f"[{_settings.host}]:{_settings.port}" if ":" in _settings.host else f"{_settings.host}:{_settings.port}"
backlog = 2048
# A listener for each worker, over which the kernel deals connections out. Of workers that share one, whoever is awake
# takes most of a burst, and streams stay where their connections are. The price stands in docs/decisions/listeners.md.
reuse_port = True

# A worker whose event loop has not turned for this long is stuck, and is replaced.
timeout = 30
graceful_timeout = math.ceil(_settings.drain_timeout_s) + 2 * AFTER_DRAIN_S
# Longer than the idle timeouts of the usual load balancers (60 s), so that it is they who close a connection.
keepalive = 75

# The heartbeat's file: on a disk that is busy, touching it can block a worker.
_memory = Path("/dev/shm")  # noqa: S108 - gunicorn picks a random name there # nosec B108
worker_tmp_dir = str(_memory) if _memory.is_dir() else None
# It would be a file under a home folder that a container need not have, and a second way to command the service.
control_socket_disable = True


def on_starting(server: Any) -> None:
    """Once, before anything is forked; a reload does not come by here."""
    check_ports(_settings)
    Reservations.share()
    import_module("app.main")  # once: workers start at once then, and share its memory
    gc.freeze()
    gc.enable()


def when_ready(server: Any) -> None:
    """The address: gunicorn's own line none, as the workers have yet to listen there."""
    server.log.info("workers will listen at http://%s", bind)


def on_reload(server: Any) -> None:
    """Says what many would expect to be otherwise."""
    gc.enable()  # this file was read once more
    server.log.info("workers are replaced; settings and code are those of the start")


def pre_exec(server: Any) -> None:
    """USR2 would start a second master beside this one. It runs in the child that is to become it, and ends it."""
    server.log.error("USR2 is not supported: two masters cannot share the ports; HUP replaces the workers")
    sys.exit()


def pre_fork(server: Any, worker: Any) -> None:
    """Gives the worker the lowest number that is free. While a reload lasts, old and new ones count together."""
    taken = {each.slot for each in server.WORKERS.values()}
    worker.slot = next(slot for slot in range(len(taken) + 1) if slot not in taken)


def child_exit(server: Any, worker: Any) -> None:
    """Releases what the chats of a killed worker had reserved."""
    Reservations(worker.slot)


def post_fork(server: Any, worker: Any) -> None:
    """The app finds its number among its settings."""
    os.environ["WORKER_SLOT"] = str(worker.slot)

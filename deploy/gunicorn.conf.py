"""gunicorn's configuration for `make serve` and the image; values that differ between deployments are settings.

Each timeout of a stop is longer than the one before, so that rows are written before the process is killed: streams
DRAIN_TIMEOUT_S (20 s) < uvicorn 25 s < gunicorn 30 s < the container's grace period 35 s.

A reload (SIGHUP) replaces the workers, with the settings and the code of the start. For new settings or code, start a
new process. gunicorn handles no other signal until the old workers have stopped, so a stop during a reload takes two
drains; in containers, replace the container instead.
"""

import gc
import math
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

gc.disable()  # collecting the long-lived objects of imports takes a quarter of the start

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
# One listener per worker, so that the kernel distributes connections. With a shared listener one worker would accept
# most of a burst, and its streams could not move. docs/decisions/listeners.md has the costs.
reuse_port = True

# gunicorn replaces a worker whose event loop has been blocked for this long.
timeout = 30
graceful_timeout = math.ceil(_settings.drain_timeout_s) + 2 * AFTER_DRAIN_S
# Longer than the idle timeouts of common load balancers (60 s), so that the load balancer closes the connection.
keepalive = 75

# For the heartbeat file in memory: on a busy disk, updating it can block a worker.
_memory = Path("/dev/shm")  # noqa: S108 - gunicorn picks a random name there # nosec B108
worker_tmp_dir = str(_memory) if _memory.is_dir() else None
# It needs a home folder, which a container may not have, and would be a second control interface.
control_socket_disable = True


def on_starting(server: Any) -> None:
    """Runs once before the first fork, not in a reload."""
    check_ports(_settings)
    Reservations.share()
    import_module("app.main")  # workers then start faster and share its memory
    gc.freeze()
    gc.enable()


def when_ready(server: Any) -> None:
    """Logs the address, which gunicorn's own line does not have: the workers open the listeners."""
    server.log.info("workers will listen at http://%s", bind)


def on_reload(server: Any) -> None:
    """Logs that a reload does not change settings and code."""
    gc.enable()  # this file was executed again, and disabled it
    server.log.info("workers are replaced; settings and code are those of the start")


def pre_exec(server: Any) -> None:
    """Runs in the child that USR2 forks for a second master, and ends it."""
    server.log.error("USR2 is not supported: two masters cannot share the ports; HUP replaces the workers")
    sys.exit()


def pre_fork(server: Any, worker: Any) -> None:
    """Assigns the lowest free slot. During a reload, old and new workers both occupy slots."""
    taken = {each.slot for each in server.WORKERS.values()}
    worker.slot = next(slot for slot in range(len(taken) + 1) if slot not in taken)


def child_exit(server: Any, worker: Any) -> None:
    """Releases the outbox space that a killed worker had reserved for its chats."""
    Reservations(worker.slot)


def post_fork(server: Any, worker: Any) -> None:
    """Passes the slot to the app as a setting."""
    os.environ["WORKER_SLOT"] = str(worker.slot)

"""Runs the simulator, as a process or in a thread beside the service."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette

from app.simulator.app import create_simulator

API_PATH = "/openai/v1"


def server(app: Starlette, *, log_level: str | None = None) -> uvicorn.Server:
    """Return a server that does not wait for its streams when it is stopped, and keeps idle connections for 75 s."""
    options: dict[str, Any] = {"timeout_graceful_shutdown": 1, "timeout_keep_alive": 75}
    return uvicorn.Server(uvicorn.Config(app, log_config=None, log_level=log_level, access_log=False, **options))


@contextmanager
def running_beside(tokens_per_s: float) -> Iterator[str]:
    """Run a simulator in a thread of this process, on a free port, and yield its base URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    simulator = server(create_simulator(tokens_per_s=tokens_per_s))
    thread = threading.Thread(target=simulator.run, kwargs={"sockets": [listener]}, name="simulator", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}{API_PATH}"
    finally:
        simulator.should_exit = True
        thread.join(timeout=5)

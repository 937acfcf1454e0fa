"""`python -m app`, to which SIGTERM is sent just before uvicorn has its own handler for it."""

import os
import runpy
import signal
from typing import Any

from app.serving.server import Server

_run = Server.run


def _run_after_sigterm(self: Server, **options: Any) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    _run(self, **options)


if __name__ == "__main__":
    Server.run = _run_after_sigterm  # type: ignore[assignment]
    runpy.run_module("app", run_name="__main__")

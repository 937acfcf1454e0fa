"""`python -m tests.support.fork_server FD`: imports the service's libraries and forks the programs of the tests.

The tests start two hundred programs; importing the libraries takes each most of a second. A forked program imports the
project's modules itself and ends like an interpreter. What libraries read from the environment at import stays as it is
in the server, except `OPENAI_LOG`.

FD is a socket to tests/support/starting.py. A request is a line of JSON, sent with the descriptor for the program's
output. Responses are lines of JSON: the pid of a started program, and the exit code of an ended one.
"""

import gc
import json
import os
import runpy
import selectors
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

# Without gunicorn, which stores the current folder during its import.
_LIBRARIES = (
    "aiohttp",
    "aiosqlite",
    "alembic.command",
    "alembic.config",
    "anyio._backends._asyncio",
    "asyncpg",
    "fastapi.staticfiles",
    "httpcore2",
    "httptools",
    "msgspec",
    "openai",
    "opentelemetry.instrumentation.fastapi",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.sdk.trace.export",
    "prometheus_client.core",
    "pydantic.v1",  # FastAPI imports it with the first route
    "pydantic_settings",
    "redis.asyncio",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "sqlalchemy.dialects.sqlite.aiosqlite",
    "sqlalchemy.ext.asyncio",
    "starlette.middleware.cors",
    "structlog",
    "tenacity",
    "truststore",
    "uuid_utils.compat",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.protocols.websockets.auto",
    "uvloop",
)


@dataclass
class Server:
    """Forks programs until the test process ends, then kills those that still run."""

    tests: socket.socket
    running: set[int] = field(default_factory=set)

    def serve(self) -> dict[str, Any]:
        """Returns the request in the forked program. In the server it does not return."""
        woken, waker = socket.socketpair()
        for each in (woken, waker):
            each.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker.fileno())
        with selectors.DefaultSelector() as selector, woken, waker, self.tests:
            selector.register(self.tests, selectors.EVENT_READ)
            selector.register(woken, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                with suppress(BlockingIOError):
                    woken.recv(1000)
                if self.tests in ready and (request := self._next_request()):
                    signal.set_wakeup_fd(-1)
                    return request
                self._report_ends()

    def _next_request(self) -> dict[str, Any] | None:
        data, descriptors, *_ = socket.recv_fds(self.tests, 2**20, 1)
        while data and not data.endswith(b"\n"):
            data += self.tests.recv(2**20)
        if not data:
            self._end()
        request: dict[str, Any] = json.loads(data)
        if pid := os.fork():
            os.close(descriptors[0])
            self.running.add(pid)
            self._answer(started=pid)
            return None
        return request | {"output": descriptors[0]}

    def _report_ends(self) -> None:
        with suppress(ChildProcessError):  # no program runs
            while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
                self.running.discard(ended[0])
                self._answer(ended=ended[0], code=os.waitstatus_to_exitcode(ended[1]))

    def _answer(self, **fields: int) -> None:
        with suppress(ConnectionError):
            self.tests.sendall(json.dumps(fields).encode() + b"\n")

    def _end(self) -> None:
        for pid in self.running:
            os.kill(pid, signal.SIGKILL)
        os._exit(0)


def become(request: dict[str, Any]) -> None:
    """Sets up this process like a new interpreter."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for default in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(default, signal.SIG_DFL)
    if request["group"]:
        os.setpgid(0, 0)
    for standard in (1, 2):
        os.dup2(request["output"], standard)
    os.close(request["output"])
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    import_module("openai._utils._logs").setup_logging()  # as the import of openai does
    sys.argv = request["arguments"]
    sys.path[0] = request["cwd"]
    if "COVERAGE_PROCESS_CONFIG" in os.environ:
        _save_measurements_before_signals()


def _save_measurements_before_signals() -> None:
    """Saves them where uvicorn ends a worker with the signal that stopped it, and `atexit` does not run."""
    from coverage import Coverage  # noqa: PLC0415 - other runs do not need it

    end = signal.raise_signal

    def save_and_end(number: int) -> None:
        if measured := Coverage.current():
            measured.save()
        end(number)

    signal.raise_signal = save_and_end


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the tests and their programs
    gc.disable()  # as in deploy/gunicorn.conf.py
    for name in _LIBRARIES:
        import_module(name)
    gc.collect()
    gc.freeze()
    gc.enable()
    request = Server(socket.socket(fileno=int(sys.argv[1]))).serve()
    become(request)
    runpy.run_module(request["arguments"][0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

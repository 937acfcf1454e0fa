"""How programs under test start: in a new interpreter, or forked from a process that has imported their libraries."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
_PYTHON = [sys.executable, "-W", "error::ResourceWarning", "-m"]
_INHERITED = ("PATH", "HOME", "TMPDIR", "LANG", "COVERAGE_PROCESS_CONFIG")
_RESPONSE_S = 60
_fork_servers: list["ForkServer"] = []


def started(
    arguments: list[str], *, cwd: Path, env: Mapping[str, str], output: int, group: bool, fresh: bool
) -> "subprocess.Popen[bytes] | ForkedProcess":
    """Starts `python -m` with these arguments, in a folder without a developer's `.env`.

    `output` is a descriptor, `group` gives the program a process group, and `fresh` never forks.
    """
    complete = environment(env)
    if _fork_servers and not fresh:
        return _fork_servers[-1].start(arguments, cwd=cwd, env=complete, output=output, group=group)
    with interruptible():
        return subprocess.Popen(
            [*_PYTHON, *arguments],
            cwd=cwd,
            env=complete,
            stdout=output,
            stderr=output,
            process_group=0 if group else None,
        )


@contextmanager
def forking() -> Iterator[None]:
    """Programs started within the context are forked. On Linux only: libraries of macOS do not survive a fork."""
    if sys.platform != "linux":
        yield
        return
    server = ForkServer()
    _fork_servers.append(server)
    try:
        yield
    finally:
        _fork_servers.remove(server)
        server.close()


@contextmanager
def interruptible() -> Iterator[None]:
    """Processes started within the context handle SIGINT. For the main thread.

    A shell that is not interactive starts background processes with SIGINT ignored. Their children inherit that, and
    Python then ignores it too. A handler is not inherited.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if before is signal.SIG_IGN:
            signal.signal(signal.SIGINT, before)


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """The variables of a program under test."""
    inherited = {name: value for name, value in os.environ.items() if name in _INHERITED}
    return inherited | {"PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1", "METRICS_PORT": "0"} | dict(env)


class ForkedProcess:
    """The part of `subprocess.Popen` that the tests use."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = threading.Event()

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float) -> int:
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, how: signal.Signals) -> None:
        if self.returncode is None:
            os.kill(self.pid, how)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def set_ended(self, code: int) -> None:
        self.returncode = code
        self._ended.set()


class ForkServer:
    """A client of tests/support/fork_server.py, which it starts with the first program.

    The server ends with this process and kills its programs, however this process ends.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._requesting = threading.Lock()
        self._responded = threading.Condition()
        self._started: list[ForkedProcess] = []
        self._running: dict[int, ForkedProcess] = {}

    def start(
        self, arguments: list[str], *, cwd: Path, env: Mapping[str, str], output: int, group: bool
    ) -> ForkedProcess:
        request = {"arguments": arguments, "cwd": str(cwd), "env": dict(env), "group": group}
        with self._requesting, self._responded:
            if self._process is None:
                self._start_server()
            socket.send_fds(self._socket, [json.dumps(request).encode() + b"\n"], [output])
            assert self._responded.wait_for(lambda: self._started, _RESPONSE_S), "the fork server does not respond"
            return self._started.pop()

    def close(self) -> None:
        if self._process is not None:
            self._socket.shutdown(socket.SHUT_WR)
            self._process.wait(_RESPONSE_S)
            self._reader.join()

    def _start_server(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [*_PYTHON, "tests.support.fork_server", str(theirs.fileno())],
                cwd=PROJECT,
                env=environment({}),
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with self._socket, self._socket.makefile("rb") as responses:
            for line in responses:
                self._handle(json.loads(line))

    def _handle(self, response: dict[str, Any]) -> None:
        with self._responded:
            if pid := response.get("started"):
                self._running[pid] = ForkedProcess(pid)
                self._started.append(self._running[pid])
                self._responded.notify_all()
            else:
                self._running.pop(response["ended"]).set_ended(response["code"])

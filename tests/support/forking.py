"""Programs that are forked from a process which has the service's libraries imported already."""

import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_ANSWER_S = 60


class ForkedProcess:
    """As `subprocess.Popen`, as far as the tests use it."""

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

    def has_ended(self, code: int) -> None:
        self.returncode = code
        self._ended.set()


class ForkServer:
    """Runs `command` from the first start on. The programs end with the test process, however it ends."""

    def __init__(self, command: list[str], *, cwd: Path, env: Mapping[str, str]) -> None:
        self._command = command
        self._cwd = cwd
        self._env = dict(env)
        self._process: subprocess.Popen[bytes] | None = None
        self._asking = threading.Lock()
        self._answered = threading.Condition()
        self._started: list[ForkedProcess] = []
        self._running: dict[int, ForkedProcess] = {}

    def start(
        self, arguments: list[str], *, cwd: Path, env: Mapping[str, str], output: int, group: bool
    ) -> ForkedProcess:
        """`python -m` with these arguments; `output` is a descriptor, and `group` gives it a process group."""
        request = {"arguments": arguments, "cwd": str(cwd), "env": dict(env), "group": group}
        with self._asking, self._answered:
            if self._process is None:
                self._begin()
            socket.send_fds(self._socket, [json.dumps(request).encode() + b"\n"], [output])
            assert self._answered.wait_for(lambda: self._started, _ANSWER_S), "the fork server does not answer"
            return self._started.pop()

    def close(self) -> None:
        if self._process is not None:
            self._socket.shutdown(socket.SHUT_WR)
            self._process.wait(_ANSWER_S)
            self._listener.join()

    def _begin(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [*self._command, str(theirs.fileno())],
                cwd=self._cwd,
                env=self._env,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        with self._socket, self._socket.makefile("rb") as answers:
            for line in answers:
                self._take(json.loads(line))

    def _take(self, answer: dict[str, Any]) -> None:
        with self._answered:
            if pid := answer.get("started"):
                self._running[pid] = ForkedProcess(pid)
                self._started.append(self._running[pid])
                self._answered.notify_all()
            else:
                self._running.pop(answer["ended"]).has_ended(answer["code"])

"""The programs under test, each in its own process."""

import fcntl
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.starting import PROJECT, started

__all__ = ["PROJECT", "Program", "program", "run"]

_URL = re.compile(r"http://(?:[\w.]+|\[::1\]):\d+[\w/]*")
_START_S = 60
_END_S = 120
_PIPE_BYTES = 2**20


class Program:
    """A running `python -m …` and the lines that it has printed.

    apart    it has its own process group: Ctrl-C on the terminal does not reach it
    stalled  stdout and stderr are a full pipe that is not read until `read_on` is called or the program has ended
    fresh    it is started by a new interpreter and not forked
    """

    def __init__(
        self,
        arguments: list[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        apart: bool = False,
        stalled: bool = False,
        fresh: bool = False,
    ) -> None:
        reading, writing = os.pipe()
        if hasattr(fcntl, "F_SETPIPE_SZ"):  # Linux
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 1 if stalled else _PIPE_BYTES)
        if stalled:
            fill(writing)
        self._process = started(arguments, cwd=cwd, env=env, output=writing, group=apart, fresh=fresh)
        os.close(writing)
        self._pipe = os.fdopen(reading, "rb")
        self._may_read = threading.Event()
        if not stalled:
            self._may_read.set()
        self.lines: list[str] = []
        self._printed = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def read_on(self) -> None:
        """Starts to read the output of a stalled program."""
        self._may_read.set()

    def close_output(self) -> None:
        """Closes the read end of a stalled program's output."""
        self._pipe.close()

    def url(self) -> str:
        """The first URL that it prints, which it does when it is ready."""
        found = self.line(_URL.search)
        address = found and _URL.search(found)
        if not address:
            raise AssertionError(f"it did not start:\n{self.output}")
        return address[0]

    def wait_for(self, text: str) -> bool:
        """Waits for a line with this text; False if the program ends first, or after a minute."""
        return self.line(lambda line: text in line) is not None

    def line(self, matches: Callable[[str], object], *, after: int = 0, seconds: float = _START_S) -> str | None:
        """Waits for a line that matches, without the first `after` lines.

        None if the program ends first, or after `seconds`.
        """
        deadline, seen = time.monotonic() + seconds, after
        while new := self._lines_after(seen, deadline):
            for line in new:
                if matches(line):
                    return line
            seen += len(new)
        return None

    def _lines_after(self, count: int, deadline: float) -> list[str]:
        """Waits for more lines; there are none if the program has ended or the time is over."""
        with self._printed:
            self._printed.wait_for(lambda: len(self.lines) > count or self._ended, deadline - time.monotonic())
            return self.lines[count:]

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        """Returns the exit code."""
        self.signal(how)
        return self.wait()

    def signal(self, how: signal.Signals) -> None:
        if self._process.poll() is None:
            self._process.send_signal(how)

    def wait(self) -> int:
        """Returns the exit code."""
        try:
            return self._process.wait(timeout=_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        finally:
            self.read_on()
            self._reader.join(timeout=5)

    def _read(self) -> None:
        """Reads large pieces: a program that waits for its reader would be measured as slow."""
        self._may_read.wait()
        if self._pipe.closed:
            with self._printed:
                self._ended = True
                self._printed.notify_all()
            return
        rest = b""
        with self._pipe as output:
            while data := output.read1(_PIPE_BYTES):
                *lines, rest = (rest + data).split(b"\n")
                with self._printed:
                    self.lines.extend(line.decode(errors="replace") + "\n" for line in lines)
                    self._printed.notify_all()
        with self._printed:
            if rest:
                self.lines.append(rest.decode(errors="replace"))
            self._ended = True
            self._printed.notify_all()


def fill(pipe: int) -> None:
    """Writes to a pipe until it is full."""
    os.set_blocking(pipe, False)
    with suppress(BlockingIOError):
        while True:
            os.write(pipe, b"\n")
    os.set_blocking(pipe, True)


@contextmanager
def program(
    arguments: list[str],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    stop_with: signal.Signals = signal.SIGINT,
    show: Callable[[str], object] = print,
    apart: bool = False,
    stalled: bool = False,
    fresh: bool = False,
) -> Iterator[Program]:
    """A program that is stopped with the context, and must then exit with 0 unless it is killed.

    `show` gets its output, which pytest prints if the test fails.
    """
    running = Program(arguments, cwd=cwd, env=env or {}, apart=apart, stalled=stalled, fresh=fresh)
    ran, code = False, 0
    try:
        yield running
        ran = running.runs
    finally:
        code = running.stop(stop_with)
        show(running.output)
    assert not ran or code == 0 or stop_with is signal.SIGKILL, f"it exited with {code}"


def run(
    arguments: list[str], *, cwd: Path, env: Mapping[str, str] | None = None, fresh: bool = False
) -> tuple[int, str]:
    """The exit code and the output of a command."""
    finished = Program(arguments, cwd=cwd, env=env or {}, fresh=fresh)
    return finished.wait(), finished.output

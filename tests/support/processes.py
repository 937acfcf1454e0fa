"""The programs under test, each in a process of its own, as a person would start them."""

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).parents[2]
_URL = re.compile(r"http://(?:[\w.]+|\[::1\]):\d+[\w/]*")
_START_S = 30
_PIPE_BYTES = 2**20


class Program:
    """A running `python -m …`; what it prints is kept. With `apart`, a Ctrl-C on the terminal does not reach it."""

    def __init__(self, arguments: list[str], *, cwd: Path, env: Mapping[str, str], apart: bool = False) -> None:
        inherited = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "TMPDIR", "LANG")}
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error::ResourceWarning", "-m", *arguments],
            cwd=cwd,  # a developer's .env is not read from there
            env=inherited | {"PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1", "METRICS_PORT": "0"} | dict(env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pipesize=_PIPE_BYTES,
            process_group=0 if apart else None,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def url(self) -> str:
        """The first address that it prints: it is ready then."""
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            if found := _URL.search(self.output):
                return found[0]
            if self._process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"it did not start:\n{self.output}")

    def wait_for(self, words: str) -> bool:
        """Until it has printed them; False if it does not in time."""
        deadline = time.monotonic() + _START_S
        while words not in self.output and time.monotonic() < deadline:
            time.sleep(0.02)
        return words in self.output

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
            return self._process.wait(timeout=_START_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        finally:
            self._reader.join(timeout=5)

    def _read(self) -> None:
        """In large pieces: a program whose pipe is full waits for whoever reads it, and is measured meanwhile."""
        assert isinstance(self._process.stdout, io.BufferedReader)
        rest = b""
        with self._process.stdout as output:
            while data := output.read1(_PIPE_BYTES):
                *lines, rest = (rest + data).split(b"\n")
                self.lines.extend(line.decode(errors="replace") + "\n" for line in lines)
        if rest:
            self.lines.append(rest.decode(errors="replace"))


@contextmanager
def program(
    arguments: list[str],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    stop_with: signal.Signals = signal.SIGINT,
    show: Callable[[str], object] = print,
    apart: bool = False,
) -> Iterator[Program]:
    """Stops with the context, and shows what was printed: pytest keeps that for a test that fails."""
    running = Program(arguments, cwd=cwd, env=env or {}, apart=apart)
    try:
        yield running
    finally:
        running.stop(stop_with)
        show(running.output)


def run(arguments: list[str], *, cwd: Path, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """A command that ends by itself: its exit code, and what it printed."""
    finished = Program(arguments, cwd=cwd, env=env or {})
    return finished.wait(), finished.output

"""Programs on a terminal, whose output depends on it."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

from tests.support.starting import environment
from tests.support.waiting import wait_until

_COLORS = re.compile(r"\x1b\[[0-9;]*m")


class Terminal:
    """What a program has shown, without colours."""

    def __init__(self) -> None:
        self._shown = b""

    @property
    def text(self) -> str:
        return _COLORS.sub("", self._shown.decode(errors="replace")).replace("\r\n", "\n")

    def wait_for(self, text: str) -> str:
        """Waits for a line with this text, and returns it."""
        wait_until(lambda: any(text in line for line in self.text.split("\n")[:-1]), f"'{text}' is not shown")
        return next(line for line in self.text.split("\n") if text in line)

    def read(self, descriptor: int) -> None:
        with suppress(OSError):  # Linux reports a closed other side like this
            while piece := os.read(descriptor, 4096):
                self._shown += piece


@contextmanager
def on_terminal(arguments: list[str], *, cwd: Path, env: Mapping[str, str]) -> Iterator[Terminal]:
    """Runs `python -m …` on a terminal until the end of the context."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=cwd, env=environment(env), stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    terminal = Terminal()
    reader = Thread(target=terminal.read, args=(ours,), daemon=True)
    reader.start()
    try:
        yield terminal
    finally:
        process.terminate()
        process.wait(timeout=60)
        reader.join(timeout=5)
        os.close(ours)
        print(terminal.text)

"""What the upstream answers: as much as it was asked for, each event when it is due."""

import re
import socket
import time
from dataclasses import dataclass
from typing import Self

from loadtests.bench.frames import ending, frames

_SCRIPT = re.compile(rb"tokens=(\d+) rate=([\d.]+) first_ms=([\d.]+)(?: cut=(\d+))?")
_AGAIN_S = 0.001
"""A client that takes its time has to make room first."""


@dataclass(frozen=True, slots=True)
class Script:
    """What to answer; `cut` is the token before which the connection is closed."""

    tokens: int
    rate: float
    first_s: float
    cut: int | None

    @classmethod
    def of(cls, body: bytes) -> Self | None:
        if not (found := _SCRIPT.search(body, max(0, body.rfind(b"tokens=")))):
            return None
        cut = int(found[4]) if found[4] else None
        return cls(int(found[1]), float(found[2]), float(found[3]) / 1000, cut)


class Reply:
    """One reply on its way. `step` sends what is due."""

    __slots__ = ("_asked_ns", "_at", "_first_ns", "_frames", "_gap_s", "_script", "_send", "_unsent", "begin", "left")

    def __init__(self, script: Script, connection: socket.socket) -> None:
        self._asked_ns = self._first_ns = time.monotonic_ns()
        self.begin = self._asked_ns / 1e9 + script.first_s
        self.left = False
        self._script = script
        self._frames = frames(script.tokens)
        self._gap_s = 1 / script.rate
        self._send = connection.send
        self._at = 0
        self._unsent = b""

    def step(self, due: float) -> float | None:
        """Returns when the next step is due, None after the last one."""
        at = self._at
        if self.left or self.cut or at > self._script.tokens + 1:
            return None
        frame = self._unsent or self._frame(at)
        try:
            sent = self._send(frame)
        except BlockingIOError:
            sent = 0
        except OSError:
            return None  # reading tells that it is gone
        if sent < len(frame):
            self._unsent = frame[sent:]
            return time.monotonic() + _AGAIN_S
        self._unsent, self._at = b"", at + 1
        return due + self._gap_s

    @property
    def cut(self) -> bool:
        """Whether this is where it breaks off."""
        return self._at - 1 == self._script.cut

    def _frame(self, at: int) -> bytes:
        if at == 1:
            self._first_ns = time.monotonic_ns()
        if at <= self._script.tokens:
            return self._frames[at]
        return ending(self._script.tokens, self._asked_ns, self._first_ns, time.monotonic_ns())

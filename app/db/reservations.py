"""What the outbox has used, and what running chats may still need of it, in memory that all workers share."""

import mmap
from typing import ClassVar

_USED = 0


class Reservations:
    """The bytes of one worker; each has a cell of its own, so that no lock is needed.

    The constructor clears what a killed worker with this slot had reserved. gunicorn's master does the same
    (`child_exit` in deploy/gunicorn.conf.py) and calls `share`. Other processes have memory of their own.
    """

    _shared: ClassVar[memoryview | None] = None

    def __init__(self, slot: int = 0) -> None:
        self._cells = _memory() if self._shared is None else self._shared
        self._own = slot + 1
        self._cells[self._own] = 0

    @classmethod
    def share(cls) -> None:
        """Creates the memory in the process that forks the workers. Without this call each process has its own."""
        cls._shared = _memory()

    @property
    def used_bytes(self) -> int:
        """Bytes of the pages that have rows, as the last transaction of any worker left them."""
        return self._cells[_USED]

    @used_bytes.setter
    def used_bytes(self, value: int) -> None:
        self._cells[_USED] = value

    @property
    def reserved_bytes(self) -> int:
        """Bytes that the running chats of all workers may still need."""
        return sum(self._cells[1:])

    def add(self, row_bytes: int) -> None:
        """Reserves bytes, or releases them where `row_bytes` is negative."""
        self._cells[self._own] += row_bytes


def _memory() -> memoryview:
    return memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("q")

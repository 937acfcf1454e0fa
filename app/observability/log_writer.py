"""Log lines on their way to a descriptor: a bounded queue, and a thread that writes.

stdout is often a pipe. When its reader stops, or a terminal is paused, `write(2)` blocks: here it blocks this
thread, and neither an event loop nor gunicorn's master.
"""

import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

_COLLECT_S = 0.05
"""How long the thread waits for more lines once there is one: waking it for each would cost more than the line."""
_LOOK_S = 0.002
_ATOMIC_BYTES = getattr(select, "PIPE_BUF", 512)
"""Up to this size, writes of several processes to one pipe are not mixed; a longer line is a write of its own."""
_FORK_WAIT_S = 0.1


class LogWriter:
    """Writes lines to `descriptor`; `write` never blocks.

    Lines that would make the queue longer than `max_bytes` are dropped, as are those that the descriptor refuses.
    `on_recovered` is called in the thread with their number when writing works again.
    """

    def __init__(self, descriptor: int, *, max_bytes: int, on_recovered: Callable[[int], None]) -> None:
        self.max_bytes = max_bytes
        self._descriptor = descriptor
        self._on_recovered = on_recovered
        self._start_afresh()

    def _start_afresh(self) -> None:
        """An empty queue without a thread, which the next line starts. Neither thread nor locks survive a fork."""
        self.dropped = 0
        self._reported = 0
        self._lock = threading.RLock()  # re-entrant: finalizers and signal handlers may log in the middle of a line
        self._lines: list[bytes] = []
        self._bytes = 0  # those that are being written included
        self._thread: threading.Thread | None = None
        self._has_thread = False
        self._asleep = False
        self._ending = False
        self._wake_up, self._collected = threading.Lock(), threading.Lock()
        self._wake_up.acquire()
        self._collected.acquire()

    # ── Who logs ─────────────────────────────────────────────────────────────────────────────────────────────────

    def write(self, line: bytes) -> None:
        """Queues a line, which ends in a line break. An empty queue takes one of any length."""
        size = len(line)
        with self._lock:
            if self._bytes and self._bytes + size > self.max_bytes:
                self.dropped += 1
                return
            self._bytes += size
            self._lines.append(line)
            # What is looked at is set before anything is called: a signal's handler that logs may run in any call.
            if not self._has_thread:
                self._has_thread = True
                self._start_thread()
            elif self._asleep:
                self._asleep = False
                self._wake_up.release()

    def flush(self, deadline: float) -> None:
        """Blocks until every line is written, or until `deadline` on the monotonic clock."""
        self._hurry()
        while self._bytes and self._has_thread and time.monotonic() < deadline:
            time.sleep(_LOOK_S)

    def _start_thread(self) -> None:
        # A daemon, as it may hang in a write when the process ends; what is left then is lost.
        self._thread = threading.Thread(target=self._run, name="log writer", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the interpreter shuts down, or there are too many threads
            self._has_thread = False

    def _hurry(self) -> None:
        with suppress(RuntimeError):  # it does already
            self._collected.release()

    # ── The thread ───────────────────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        while self._wait_for_lines():
            with self._lock:
                lines, self._lines = self._lines, []
            written = True
            for block in _blocks(lines):
                written = self._write_block(block)
            if written and not self._lines and self.dropped > self._reported:
                count, self._reported = self.dropped - self._reported, self.dropped
                with suppress(Exception):  # without this thread, nothing would be written any longer
                    self._on_recovered(count)

    def _wait_for_lines(self) -> bool:
        """False if the thread is to end. It does so under the lock: the next line starts another."""
        with self._lock:
            sleeps = not self._lines
            if sleeps and self._ending:
                self._has_thread = False
                return False
            self._asleep = sleeps
        if sleeps:
            self._wake_up.acquire()
        self._collected.acquire(timeout=_COLLECT_S)
        return True

    def _write_block(self, lines: list[bytes]) -> bool:
        """False if the descriptor refuses it: a full disk, a closed pipe."""
        rest, size = memoryview(b"".join(lines)), sum(map(len, lines))
        try:
            while rest:
                with suppress(BlockingIOError):  # some process made the descriptor non-blocking for all that share it
                    rest = rest[os.write(self._descriptor, rest) :]
                    continue
                select.select([], [self._descriptor], [])
        except (OSError, ValueError):
            with self._lock:
                self.dropped += len(lines)
        finally:
            with self._lock:
                self._bytes -= size
        return not rest

    # ── Forks ────────────────────────────────────────────────────────────────────────────────────────────────────

    def before_fork(self) -> None:
        """Ends the thread, unless it hangs in a write, so that the process that forks has none that the child lacks."""
        with self._lock:
            self._ending = True
            thread = self._thread if self._has_thread else None
            if self._asleep:
                self._asleep = False
                self._wake_up.release()
        self._hurry()
        if thread is not None:
            thread.join(_FORK_WAIT_S)
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        """The next line starts a thread."""
        self._ending = False
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """The lines in the queue are the parent's."""
        self._start_afresh()


def _blocks(lines: list[bytes]) -> Iterator[list[bytes]]:
    """Whole lines, as many as one atomic write takes."""
    block: list[bytes] = []
    size = 0
    for line in lines:
        if block and size + len(line) > _ATOMIC_BYTES:
            yield block
            block, size = [], 0
        block.append(line)
        size += len(line)
    if block:
        yield block

"""stdout and stderr of this process behind bounded queues: nothing that logs or prints waits for their reader.

stdout is often a pipe. When its reader stops, or a terminal is paused, `write(2)` blocks: here it blocks a thread, and
neither an event loop nor gunicorn's master.
"""

import atexit
import io
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, partial
from queue import Empty, SimpleQueue
from typing import Any, TextIO

import structlog

_COLLECT_S = 0.05
"""How long the thread waits for more lines once there is one: waking it for each would cost more than the line."""
_ATOMIC_BYTES = getattr(select, "PIPE_BUF", 512)
"""Up to this size, writes of several processes to one pipe are not mixed; a longer line is a write of its own."""
_STANDARD = {1: "stdout", 2: "stderr"}

WriteText = Callable[[str], None]


class QueuedWriter:
    """Writes lines to `descriptor` in a thread; `write` never blocks.

    Dropped, and counted in `dropped`, are lines that would make the queue longer than `max_bytes`, and lines that could
    not be written. `log.lines_dropped` has their number when writing works again.
    """

    def __init__(self, descriptor: int, *, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._descriptor = descriptor
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        """Empties the queue. In a forked child there is no thread, and the lines in the queue are the parent's."""
        self.dropped = self._reported = 0
        self._lock = threading.RLock()  # re-entrant: finalizers and signal handlers may log in the middle of a line
        self._lines: SimpleQueue[bytes] = SimpleQueue()  # re-entrant too
        self._bytes = 0  # those that are being written included
        self._has_thread = False
        self._flushing = threading.Event()

    def write(self, line: bytes) -> None:
        """Queues a line, which ends in a line break. An empty queue takes one of any length."""
        size = len(line)
        with self._lock:
            if self._bytes and self._bytes + size > self.max_bytes:
                self.dropped += 1
                return
            self._bytes += size
            starts, self._has_thread = not self._has_thread, True
        self._lines.put(line)
        if starts:
            try:
                threading.Thread(target=self._run, name="log writer", daemon=True).start()
            except RuntimeError:  # the interpreter shuts down, or there are too many threads
                self._has_thread = False

    def flush(self, deadline: float) -> None:
        """Blocks until every line is written, or until `deadline` on the monotonic clock."""
        self._flushing.set()
        while self._bytes and self._has_thread and time.monotonic() < deadline:
            time.sleep(0.002)

    def _run(self) -> None:
        while True:
            lines = [self._lines.get()]
            self._flushing.wait(_COLLECT_S)
            with suppress(Empty):
                while True:
                    lines.append(self._lines.get_nowait())
            written = [self._write_batch(batch) for batch in _batches(lines)]
            if written[-1] and self._lines.empty() and self.dropped > self._reported:
                count, self._reported = self.dropped - self._reported, self.dropped
                with suppress(Exception):  # this thread must not end
                    # A new logger each time: one that gunicorn's master had used would name it in lines of its workers.
                    structlog.get_logger(__name__).warning("log.lines_dropped", count=count)

    def _write_batch(self, lines: list[bytes]) -> bool:
        """Returns whether the lines were written; a full disk or a closed pipe prevents it."""
        data = b"".join(lines)
        rest = memoryview(data)
        failed = 0
        try:
            while rest:
                with suppress(BlockingIOError):  # a process made the descriptor non-blocking for all that share it
                    rest = rest[os.write(self._descriptor, rest) :]
                    continue
                select.select([], [self._descriptor], [])
        except (OSError, ValueError):
            failed = len(lines)
        with self._lock:
            self.dropped += failed
            self._bytes -= len(data)
        return not failed


def _batches(lines: list[bytes]) -> Iterator[list[bytes]]:
    """Whole lines, as many as one atomic write takes."""
    batch: list[bytes] = []
    size = 0
    for line in lines:
        if batch and size + len(line) > _ATOMIC_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += len(line)
    yield batch


class LogOutput:
    """The writers of this process, one for each descriptor. A forked child has the same writers with empty queues."""

    def __init__(self) -> None:
        self._writers: dict[int, QueuedWriter] = {}
        self._streams: list[TextIO] = []  # referenced, because a stream that is collected closes its descriptor
        self._flush_s = 0.0
        atexit.register(self.flush)

    @property
    def dropped(self) -> int:
        """Lines that were not written since the process started."""
        return sum(writer.dropped for writer in self._writers.values())

    def attach(self, *, max_bytes: int, flush_timeout_s: float) -> WriteText:
        """Replaces stdout and stderr, for `print` and tracebacks too; returns a function that writes to stdout."""
        self._flush_s = flush_timeout_s
        write = self._attach(sys.stdout, max_bytes)
        self._attach(sys.stderr, max_bytes)
        for writer in self._writers.values():
            writer.max_bytes = max_bytes
        return write

    def flush(self) -> None:
        """Blocks until every line is written; all calls together take no longer than the time limit."""
        for stream in (sys.stdout, sys.stderr):
            with suppress(AttributeError, OSError, ValueError):
                stream.flush()
        started = time.monotonic()
        for writer in self._writers.values():
            writer.flush(started + self._flush_s)
        self._flush_s -= time.monotonic() - started

    def _attach(self, stream: Any, max_bytes: int) -> WriteText:
        try:
            descriptor = stream.fileno()
        except (AttributeError, OSError, ValueError):  # it is in memory, or there is none
            return partial(_write_to, stream)
        writer = self._writer(descriptor, max_bytes)
        self._streams.append(stream)
        if descriptor in _STANDARD and not isinstance(getattr(stream, "buffer", None), _QueuedStream):
            with suppress(OSError, ValueError):
                stream.flush()
            raw: Any = _QueuedStream(descriptor, writer)
            text = io.TextIOWrapper(raw, stream.encoding, stream.errors, newline="\n", line_buffering=True)
            setattr(sys, _STANDARD[descriptor], text)
        return lambda text: writer.write(text.encode(errors="replace"))

    def _writer(self, descriptor: int, max_bytes: int) -> QueuedWriter:
        for known, writer in self._writers.items():
            with suppress(OSError):
                if known == descriptor or os.path.sameopenfile(known, descriptor):  # 2>&1: lines stay in their order
                    return writer
        self._writers[descriptor] = QueuedWriter(descriptor, max_bytes=max_bytes)
        return self._writers[descriptor]


@cache
def log_output() -> LogOutput:
    """Returns the LogOutput of this process, which has one stdout and one stderr; creates it at the first call."""
    return LogOutput()


class _QueuedStream(io.FileIO):
    """A descriptor that is written to by a QueuedWriter."""

    def __init__(self, descriptor: int, writer: QueuedWriter) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._writer = writer

    def write(self, data: Any) -> int:
        content = bytes(data)
        self._writer.write(content)
        return len(content)


def _write_to(stream: Any, text: str) -> None:
    with suppress(AttributeError, OSError, ValueError):  # a process may be started without stdout
        stream.write(text)

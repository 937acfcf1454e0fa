"""stdout and stderr of this process, each behind a LogWriter: nothing that is printed blocks whoever prints it."""

import atexit
import io
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO

from app.observability.log_writer import LogWriter

_STANDARD = {1: "stdout", 2: "stderr"}

WriteLine = Callable[[bytes], None]
OnRecovered = Callable[[int], None]


class LogOutput:
    """The writers of this process, one for each descriptor; a child that is forked has the same with empty queues."""

    def __init__(self) -> None:
        self._writers: dict[int, LogWriter] = {}
        self._streams: list[TextIO] = []  # referred to: with a stream its descriptor would be closed
        self._flush_s = 0.0
        atexit.register(self.flush)
        os.register_at_fork(
            before=lambda: self._each(LogWriter.before_fork),
            after_in_parent=lambda: self._each(LogWriter.after_fork_in_parent),
            after_in_child=lambda: self._each(LogWriter.after_fork_in_child),
        )

    @property
    def dropped(self) -> int:
        """Lines that were not written since the process began."""
        return sum(writer.dropped for writer in self._writers.values())

    def attach(self, *, max_bytes: int, flush_timeout_s: float, on_recovered: OnRecovered) -> WriteLine:
        """Puts queues before stdout and stderr, for `print` and tracebacks too; returns what takes a line for stdout.

        It may be called again, with other limits.
        """
        self._flush_s = flush_timeout_s
        write = self._attach(sys.stdout, max_bytes, on_recovered)
        self._attach(sys.stderr, max_bytes, on_recovered)
        for writer in self._writers.values():
            writer.max_bytes = max_bytes
        return write

    def flush(self) -> None:
        """Blocks until every line is written; all calls together take no longer than the time limit."""
        for stream in (sys.stdout, sys.stderr):
            with suppress(AttributeError, OSError, ValueError):
                stream.flush()
        began = time.monotonic()
        for writer in self._writers.values():
            writer.flush(began + self._flush_s)
        self._flush_s -= time.monotonic() - began

    def _attach(self, stream: TextIO | None, max_bytes: int, on_recovered: OnRecovered) -> WriteLine:
        try:
            descriptor = stream.fileno() if stream else None
        except (OSError, ValueError):
            descriptor = None
        if stream is None or descriptor is None:
            return lambda line: _write_text(stream, line)
        writer = self._writer(descriptor, max_bytes, on_recovered)
        self._streams.append(stream)
        if descriptor in _STANDARD and not isinstance(getattr(stream, "buffer", None), _Queue):
            with suppress(OSError, ValueError):
                stream.flush()
            queue: Any = _Queue(descriptor, writer)
            text = io.TextIOWrapper(queue, stream.encoding, stream.errors, newline="\n", line_buffering=True)
            setattr(sys, _STANDARD[descriptor], text)
        return writer.write

    def _writer(self, descriptor: int, max_bytes: int, on_recovered: OnRecovered) -> LogWriter:
        for known, writer in self._writers.items():
            with suppress(OSError):
                if known == descriptor or os.path.sameopenfile(known, descriptor):  # 2>&1: lines stay in their order
                    return writer
        writer = LogWriter(descriptor, max_bytes=max_bytes, on_recovered=on_recovered)
        self._writers[descriptor] = writer
        return writer

    def _each(self, step: Callable[[LogWriter], None]) -> None:
        for writer in self._writers.values():
            step(writer)


class _Queue(io.RawIOBase):
    """A descriptor as a stream that is written to by way of a LogWriter."""

    def __init__(self, descriptor: int, writer: LogWriter) -> None:
        self._descriptor = descriptor
        self._writer = writer

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: Any) -> int:
        content = bytes(data)
        self._writer.write(content)
        return len(content)


def _write_text(stream: TextIO | None, line: bytes) -> None:
    """For a stream in memory, which does not block, or none, which a process may be started with."""
    with suppress(OSError, ValueError):
        if stream is not None:
            stream.write(line.decode(errors="replace"))


log_output = LogOutput()

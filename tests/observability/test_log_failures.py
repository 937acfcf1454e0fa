"""Lines that cannot be formatted, and a log without a thread or a descriptor."""

import io
import logging
import os
import sys
import threading
import time
from typing import Any

import pytest

from app.observability import logs
from app.observability.log_output import LogOutput, QueuedWriter


def test_line_is_written_by_a_thread_that_can_start_later(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    reading, writing = os.pipe()
    writer = QueuedWriter(writing, max_bytes=1000)
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", refuse)
        writer.write(b"one\n")
    writer.write(b"two\n")
    writer.flush(time.monotonic() + 10)
    os.close(writing)
    with os.fdopen(reading, "rb") as received:
        assert received.read() == b"one\ntwo\n"


@pytest.mark.parametrize("stream", [io.StringIO(), None], ids=["in memory", "missing"])
def test_stdout_without_a_descriptor_is_written_to_directly(
    stream: io.StringIO | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", None)
    write = LogOutput().attach(max_bytes=1000, flush_timeout_s=1)
    write("line\n")
    assert stream is None or stream.getvalue() == "line\n"
    assert sys.stdout is stream


def test_line_that_cannot_be_formatted_is_reported_and_not_raised(capsys: pytest.CaptureFixture[str]) -> None:
    record = logging.LogRecord("library", logging.INFO, "file.py", 1, "%d of %d", (1,), None)
    written: list[str] = []
    logging.StreamHandler(logs._Lines(written.append)).handle(record)
    assert (written, "not enough arguments" in capsys.readouterr().err) == ([], True)


def test_ctrl_c_is_no_crash(
    lines: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    logs._log_crashes()
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert (lines, capsys.readouterr().err) == ([], "KeyboardInterrupt\n")

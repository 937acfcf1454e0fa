"""Lines reach a descriptor whole, in order and once, and no caller waits for it."""

import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.observability.log_output import QueuedWriter
from tests.support.processes import Program, fill, run
from tests.support.waiting import wait_until

CONFIGURE = """
import os, signal, sys, threading, time
import structlog
from app.core.config import Settings
from app.observability import logs
logs.configure(Settings(log_format="json"))
log = structlog.get_logger()
"""


@dataclass
class Piped:
    """A writer before a pipe."""

    reading: int
    writing: int
    max_bytes: int = 1000

    def __post_init__(self) -> None:
        self.writer = QueuedWriter(self.writing, max_bytes=self.max_bytes)

    def read(self, count: int) -> bytes:
        """So many bytes, when they have come; what filled the pipe before is left out."""
        received = b""
        deadline = time.monotonic() + 30
        while len(received) < count:
            assert time.monotonic() < deadline, received
            try:
                received += os.read(self.reading, 65536).lstrip(b"\n" if not received else b"")
            except BlockingIOError:
                time.sleep(0.01)
        return received


@pytest.fixture
def piped() -> Iterator[Piped]:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    yield Piped(reading, writing)
    os.close(reading)
    os.close(writing)


def test_full_queue_drops_new_lines_and_reports_their_number_later(piped: Piped, lines: list[Any]) -> None:
    fill(piped.writing)
    written = [b"%07d\n" % number for number in range(200)]
    for line in written:
        piped.writer.write(line)
    fitting = piped.max_bytes // 8
    assert piped.writer.dropped == 200 - fitting
    assert lines == []
    assert piped.read(1000) == b"".join(written[:fitting])
    wait_until(lambda: lines, "nothing is reported")
    piped.writer.write(b"later\n")
    assert piped.read(6) == b"later\n"
    assert lines == [{"event": "log.lines_dropped", "count": 200 - fitting, "log_level": "warning"}]


def test_line_longer_than_the_queue_is_written_if_it_is_the_only_one(piped: Piped) -> None:
    piped.writer.write(b"x" * 5000 + b"\n")
    assert piped.read(5001) == b"x" * 5000 + b"\n"


def test_non_blocking_descriptor_loses_nothing(piped: Piped) -> None:
    os.set_blocking(piped.writing, False)
    piped.writer.max_bytes = 10**6
    lines = [b"%0999d\n" % number for number in range(500)]
    for line in lines:
        piped.writer.write(line)
    assert piped.read(500_000) == b"".join(lines)
    assert piped.writer.dropped == 0


def test_flush_ends_with_the_last_line_or_at_the_deadline(piped: Piped) -> None:
    piped.writer.write(b"one\n")
    piped.writer.flush(time.monotonic() + 30)
    assert os.read(piped.reading, 100) == b"one\n"
    fill(piped.writing)
    piped.writer.write(b"two\n")
    piped.writer.flush(time.monotonic() + 0.2)
    assert piped.read(4) == b"two\n"


def test_process_writes_every_line_before_it_ends(tmp_path: Path) -> None:
    (tmp_path / "lines.py").write_text(
        CONFIGURE + "for number in range(3000): log.info('line', number=number)\nprint('last', end='')\n"
        "sys.exit('reason')\n"
    )
    code, output = run(["lines"], cwd=tmp_path)
    assert code == 1
    *lines, reason, last = output.splitlines()
    assert [f'"number":{number},' in line for number, line in enumerate(lines)] == [True] * 3000
    assert (reason, last) == ("reason", "last")


def test_process_with_a_blocked_log_ends_within_the_limit(tmp_path: Path) -> None:
    (tmp_path / "lines.py").write_text(CONFIGURE + "for number in range(3000): log.info('line', number=number)\n")
    began = time.monotonic()
    stalled = Program(["lines"], cwd=tmp_path, env={"LOG_FLUSH_TIMEOUT_S": "0.5"}, stalled=True)
    assert stalled.wait() == 0
    assert time.monotonic() - began < 15
    assert "Fatal" not in stalled.output


FORKS = """
def write(name):
    threads = [threading.Thread(target=write_some, args=(name, part)) for part in range(2)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()

def write_some(name, part):
    for number in range(300): log.info("line", key=f"{name}-{part}-{number}", filler="x" * 1500)

children = []
for name in range(4):
    log.info("line", key=f"before-{name}")
    child = os.fork()
    if not child:
        write(name)
        sys.exit()
    children.append(child)
write("parent")
codes = [os.waitpid(child, 0)[1] for child in children]
log.info("line", key=f"codes-{codes}")
"""


def test_forked_processes_write_their_own_lines_whole_and_once(tmp_path: Path) -> None:
    (tmp_path / "forks.py").write_text(CONFIGURE + FORKS)
    code, output = run(["forks"], cwd=tmp_path)
    assert code == 0
    keys = Counter(json.loads(line)["key"] for line in output.splitlines())
    wanted = {f"{name}-{part}-{number}" for name in (0, 1, 2, 3, "parent") for part in (0, 1) for number in range(300)}
    wanted |= {f"before-{name}" for name in range(4)} | {"codes-[0, 0, 0, 0]"}
    assert set(keys) == wanted
    assert set(keys.values()) == {1}


def test_process_with_a_blocked_log_can_fork(tmp_path: Path) -> None:
    """The child has a queue and a thread of its own."""
    (tmp_path / "forks.py").write_text(
        CONFIGURE
        + """
log.info("line", who="parent")
time.sleep(0.2)
child = os.fork()
log.info("line", who="child" if not child else "parent again")
if child:
    os.waitpid(child, 0)
"""
    )
    program = Program(["forks"], cwd=tmp_path, env={"LOG_FLUSH_TIMEOUT_S": "20"}, stalled=True)
    time.sleep(2)
    program.read_on()
    assert program.wait() == 0
    assert sorted(json.loads(line)["who"] for line in program.lines if "who" in line) == [
        "child", "parent", "parent again"
    ]  # fmt: skip


@pytest.mark.parametrize("call", range(1, 9))
def test_write_is_reentrant(piped: Piped, call: int) -> None:
    """The handler of a signal, or a finalizer, may log in any call; here, one does in the first, in the second, …"""
    writer, calls = piped.writer, 0

    def interrupt(_: object, event: str, __: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")
        if event in ("call", "c_call") and calls == call:
            writer.write(b"nested\n")

    before = set(threading.enumerate())  # those of earlier tests may end meanwhile
    for _ in range(3):  # the first line starts the thread, the others wake it up
        calls = 0
        sys.setprofile(interrupt)
        writer.write(b"line\n")
        sys.setprofile(None)
        expected = {b"line": 1} | ({b"nested": 1} if calls >= call else {})
        assert Counter(piped.read(sum(len(line) + 1 for line in expected)).splitlines()) == expected
        wait_until(lambda: not writer._bytes, "it is not written")  # the thread waits again
        assert [thread.name for thread in set(threading.enumerate()) - before] == ["log writer"]

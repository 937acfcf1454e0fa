"""One file of rows: what is in it, and whose it is."""

import asyncio
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.db.spool.segment import Line, Segment, Unreadable, to_line, to_record
from tests.support.processes import PROJECT
from tests.support.records import record

NOW = datetime(2026, 11, 23, tzinfo=UTC)
LINES = [to_line(record(prompt=prompt)) for prompt in ("one", "two", "three")]


def lines_of(segment: Segment) -> list[Line]:
    return segment.read(max_rows=1000, max_bytes=10**9)


def test_a_row_comes_back_from_its_line_as_it_was() -> None:
    odd = record(
        params={"seed": 10**30, "x": [1.5, None, "\n\u2028"]}, response='quotes " and \n lines', reasoning=None
    )
    assert to_record(to_line(odd)) == odd
    assert to_line(odd).count(b"\n") == 1


def test_a_line_of_a_version_that_knew_more_can_be_read_and_one_that_is_no_row_is_said_to_be_none() -> None:
    assert to_record(LINES[0].replace(b"{", b'{"from_the_future":1,', 1)).prompt == "one"
    for line in (b"\n", b"null\n", b"{}\n", b'{"id": 5}\n', b"\xff\n", LINES[0][:-10] + b"\n"):
        with pytest.raises(Unreadable):
            to_record(line)


@given(st.text(), st.text())
def test_any_text_survives(prompt: str, response: str) -> None:
    written = record(prompt=prompt, response=response).storable()
    line = to_line(written)
    assert to_record(line) == written
    assert line.count(b"\n") == 1


def test_it_can_be_read_in_portions_each_of_one_line_at_the_least(tmp_path: Path) -> None:
    segment = Segment.create(tmp_path)
    segment.append(LINES, NOW)
    assert segment.read(max_rows=2, max_bytes=10**9) == LINES[:2]
    assert segment.read(max_rows=9, max_bytes=len(LINES[0]) + 1) == LINES[:1]
    segment.moved = len(LINES[0])
    assert segment.read(max_rows=9, max_bytes=1) == LINES[1:2]
    segment.moved = segment.bytes
    assert segment.read(max_rows=9, max_bytes=9) == []


def test_nobody_else_takes_it_while_its_owner_lives(tmp_path: Path) -> None:
    segment = Segment.create(tmp_path)
    segment.append(LINES, NOW)
    assert Segment.adopt(segment.path) is None
    segment.close()
    adopted = Segment.adopt(segment.path)
    assert adopted
    assert (adopted.rows, adopted.bytes) == (3, segment.bytes)
    assert adopted.oldest == record().created_at.timestamp()
    assert lines_of(adopted) == LINES


@pytest.mark.parametrize("torn", [b"{", LINES[0][:-2], b"\xff" * 100])
def test_a_torn_last_line_is_no_error_and_no_row(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "left.jsonl"
    path.write_bytes(b"".join(LINES) + torn)
    adopted = Segment.adopt(path)
    assert adopted
    assert adopted.rows == 3
    assert lines_of(adopted) == LINES


def test_a_last_line_that_only_lacks_its_end_is_a_row(tmp_path: Path) -> None:
    """An editor may have left it out, of a row that was mended."""
    path = tmp_path / "mended.jsonl"
    path.write_bytes(LINES[0] + LINES[1][:-1])
    adopted = Segment.adopt(path)
    assert adopted
    assert (adopted.rows, lines_of(adopted)) == (2, [LINES[0], LINES[1][:-1]])


def test_a_file_that_somebody_removed_takes_no_more_rows_and_still_has_those_it_had(tmp_path: Path) -> None:
    segment = Segment.create(tmp_path)
    segment.append(LINES[:1], NOW)
    segment.path.unlink()
    with pytest.raises(OSError, match="removed"):
        segment.append(LINES[1:], NOW)
    assert lines_of(segment) == LINES[:1]


def test_what_a_killed_process_left_is_whole_and_free(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, signal, sys\n"
        "from tests.db.spool.test_segment import LINES, NOW, Segment\n"
        "Segment.create(pathlib.Path(sys.argv[1])).append(LINES, NOW)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=PROJECT, check=False, timeout=60)
    assert done.returncode == -9
    (left,) = tmp_path.glob("*.jsonl")
    adopted = Segment.adopt(left)
    assert adopted
    assert [to_record(line).prompt for line in lines_of(adopted)] == ["one", "two", "three"]


def test_what_was_taken_and_removed_meanwhile_is_not_taken_again(tmp_path: Path) -> None:
    """One looks at the folder; another one empties the segment; then the first one wants it."""
    segment = Segment.create(tmp_path)
    descriptor = os.open(segment.path, os.O_RDWR)
    segment.remove()
    os.close(descriptor)
    assert Segment.adopt(segment.path) is None
    assert list(tmp_path.iterdir()) == []


def test_prompts_are_for_nobody_else_to_read(tmp_path: Path) -> None:
    assert Segment.create(tmp_path).path.stat().st_mode & 0o077 == 0


@contextmanager
def full_disk(after_bytes: int) -> Iterator[None]:
    """No file may grow larger: the kernel says so as it does of a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (after_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_batch_that_does_not_fit_leaves_nothing_of_itself(tmp_path: Path) -> None:
    segment = Segment.create(tmp_path)
    segment.append(LINES[:1], NOW)
    with full_disk(segment.bytes + 20), pytest.raises(OSError, match="too large"):
        segment.append(LINES[1:], NOW)
    assert segment.path.read_bytes() == LINES[0]
    assert (segment.rows, segment.bytes) == (1, len(LINES[0]))


async def test_the_order_of_writing_is_the_order_of_reading(tmp_path: Path) -> None:
    segment = Segment.create(tmp_path)
    for line in LINES:
        await asyncio.to_thread(segment.append, [line], NOW)
    assert lines_of(segment) == LINES

"""One file of rows, a JSON line each. Whoever holds its lock may write it, or move it into the database.

The lock goes with the process that holds it, however that ends: what it leaves is for others to take.
"""

import errno
import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Self

import msgspec
from uuid_utils.compat import uuid7

from app.core.record import ChatRecord

SUFFIX = ".jsonl"

_PRIVATE = 0o600  # prompts and answers are nobody else's
_LONGEST_LINE = 2**28  # longer than any row: something else has written there
_STILL_COPIED_S = 10

Line = bytes
"""A row as it is written: JSON, with the line's end."""


class Unreadable(ValueError):
    """A whole line that is no row: something else has written there."""


def to_line(record: ChatRecord) -> Line:
    """Raises msgspec.EncodeError, or what else an encoder raises, for what no JSON can say."""
    return msgspec.json.encode(record) + b"\n"


def to_record(line: Line) -> ChatRecord:
    """Raises Unreadable."""
    try:
        return msgspec.json.decode(line, type=ChatRecord)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise Unreadable(str(exc)) from exc


class Segment:
    """`moved` are the bytes that are elsewhere already. `oldest` is when its first chat arrived, as Unix time.

    A torn last line is one whose writer never said that it was written: it is left out.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.rows = 0
        self.bytes = 0
        self.moved = 0
        self.oldest: float | None = None
        self._descriptor = descriptor

    @classmethod
    def create(cls, folder: Path) -> Self:
        """A new one, that nobody else can have taken: it gets its name when it is locked. Raises OSError."""
        name = str(uuid7())
        hidden = folder / f".{name}"
        descriptor = os.open(hidden, os.O_CREAT | os.O_EXCL | os.O_RDWR, _PRIVATE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path = hidden.rename(folder / (name + SUFFIX))
            sync_folder(folder)
        except OSError:
            hidden.unlink(missing_ok=True)
            (folder / (name + SUFFIX)).unlink(missing_ok=True)
            os.close(descriptor)
            raise
        return cls(path, descriptor)

    @classmethod
    def adopt(cls, path: Path) -> Self | None:
        """One that a dead process has left; None if its owner lives, or somebody else was faster. Raises OSError."""
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return None
        segment = cls(path, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_nlink:
                segment._count()
                return segment
        except BlockingIOError:
            pass
        except BaseException:
            segment.close()
            raise
        segment.close()
        return None

    def append(self, lines: Sequence[Line], oldest: datetime) -> None:
        """Returns when they are on the disk. Raises OSError; then it is as it was, and nothing more goes into it."""
        try:
            for line in lines:
                _write_all(self._descriptor, line)
            os.fsync(self._descriptor)
            if not os.fstat(self._descriptor).st_nlink:
                raise OSError(errno.ENOENT, "somebody has removed the file")
        except OSError:
            os.ftruncate(self._descriptor, self.bytes)
            raise
        self.rows += len(lines)
        self.bytes += sum(map(len, lines))
        self.oldest = self.oldest or oldest.timestamp()

    def read(self, *, max_rows: int, max_bytes: int) -> list[Line]:
        """The next lines that have not been moved, one at the least; none at the end. Raises OSError."""
        lines: list[Line] = []
        size = 0
        for line in self._lines(self.moved):
            size += len(line)
            if lines and (size > max_bytes or len(lines) == max_rows):
                break
            lines.append(line)
        return lines

    @property
    def still_copied(self) -> bool:
        """There is more behind its whole lines, and it was written just now: somebody may be at it."""
        facts = os.fstat(self._descriptor)
        return facts.st_size > self.moved and time.time() - facts.st_mtime < _STILL_COPIED_S

    def _lines(self, offset: int) -> Iterator[Line]:
        """By its descriptor: a file that was removed by hand has its rows until it is closed."""
        with os.fdopen(os.dup(self._descriptor), "rb") as file:
            file.seek(offset)
            while line := file.readline(_LONGEST_LINE):
                if line.endswith(b"\n") or _is_row(line):  # an editor may have left the end out
                    yield line
                else:
                    return

    def _count(self) -> None:
        for line in self._lines(0):
            if not self.rows:
                self.oldest = _arrival(line) or os.fstat(self._descriptor).st_mtime
            self.rows += 1
            self.bytes += len(line)

    def remove(self) -> None:
        """All of it is elsewhere. Raises OSError, and can be asked again then."""
        self.path.unlink(missing_ok=True)
        sync_folder(self.path.parent)
        self.close()

    def close(self) -> None:
        """Leaves it to whoever takes it next."""
        os.close(self._descriptor)


def sync_folder(folder: Path) -> None:
    """A file that is new or gone is so on the disk as well."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _is_row(line: Line) -> bool:
    return _arrival(line) is not None


def _arrival(line: Line) -> float | None:
    try:
        return to_record(line).created_at.timestamp()
    except Unreadable:
        return None

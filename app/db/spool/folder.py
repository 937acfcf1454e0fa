"""The segments of one process, those that dead ones have left, and beside them the rows that the database refused.

A refused row is a file of its own, in the form of a segment: moved back among the others, it is tried again.
"""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import structlog

from app.db.spool.segment import SUFFIX, Line, Segment, sync_folder

_FULL_BYTES = 64 * 2**20  # what is back in the database is removed by the segment
_MOST_ADOPTED = 64  # each holds a file open; the others follow when these are done
_PROBE_BYTES = 2**20
_MODE = 0o700

log = structlog.get_logger(__name__)


class Folder:
    """Everything in it waits for the disk: it is called in a thread. One call at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rejected = path / "rejected"
        self._current: Segment | None = None
        self._full: list[Segment] = []
        self._hopeless: set[Path] = set()
        self.rejected_bytes = 0
        self.free_bytes = 0

    @property
    def segments(self) -> list[Segment]:
        """Those that this process holds."""
        return [*self._full, *([self._current] if self._current else [])]

    def append(self, lines: Sequence[Line], oldest: datetime) -> None:
        """Returns when they are on the disk. Raises OSError, when a fresh segment does not take them either."""
        try:
            self._append(lines, oldest)
        except OSError:
            self._append(lines, oldest)

    def _append(self, lines: Sequence[Line], oldest: datetime) -> None:
        segment = self._current = self._current or Segment.create(self._path)
        try:
            segment.append(lines, oldest)
        except OSError:
            self._rotate()
            raise
        if segment.bytes >= _FULL_BYTES:
            self._rotate()

    def _rotate(self) -> None:
        segment = self._current
        if segment is not None and segment.rows:
            self._full.append(segment)
        self._current = None
        if segment is not None and not segment.rows:
            segment.remove()

    def orphans(self) -> list[Path]:
        """Files that a dead process may have left, as many as may be taken now; sees what else has changed."""
        self.free_bytes = shutil.disk_usage(self._path).free
        self.rejected_bytes = _bytes_in(self._rejected)
        held = {segment.path for segment in self.segments}
        paths = sorted(path for path in self._path.glob(f"[!.]*{SUFFIX}") if path not in held)
        return paths[: max(0, _MOST_ADOPTED - len(self._full))]

    def adopt(self, path: Path) -> bool:
        """Takes it over, if its owner is dead. What cannot be opened or read harms nobody else."""
        try:
            segment = Segment.adopt(path)
        except OSError as exc:
            if path not in self._hopeless:
                log.error("spool.segment_unreadable", path=str(path), error=str(exc))
            self._hopeless.add(path)
            return False
        if segment is not None:
            self._full.append(segment)
        return segment is not None

    def next_to_drain(self) -> Segment | None:
        """One that nothing is written to any longer: it can be read to its end, and removed."""
        if self._current is not None and self._current.rows:
            self._rotate()
        return self._full[0] if self._full else None

    def remove(self, segment: Segment) -> None:
        """All of its rows are elsewhere. Raises OSError, and can be asked again then."""
        segment.remove()
        self._full.remove(segment)

    def put_off(self, segment: Segment) -> None:
        """The others come first."""
        self._full.remove(segment)
        self._full.append(segment)

    def reject(self, name: str | None, line: Line) -> None:
        """Puts a row aside, durably; what has no name gets that of its content. Raises OSError."""
        if not self._rejected.is_dir():
            self._rejected.mkdir(mode=_MODE)
            sync_folder(self._path)
        segment = Segment.create(self._rejected)
        try:
            segment.append([line], datetime.now(UTC))
            segment.path.rename(self._rejected / ((name or sha256(line).hexdigest()) + SUFFIX))
            sync_folder(self._rejected)
        except OSError:
            with suppress(OSError):
                segment.path.unlink(missing_ok=True)
            raise
        finally:
            segment.close()
        self.rejected_bytes += len(line)

    def check(self) -> None:
        """Raises OSError unless it takes rows: it is there, or can be made, may be written to, locks, and has room."""
        if not self._path.is_dir():
            self._path.mkdir(mode=_MODE, parents=True)
            sync_folder(self._path.parent)
        segment = Segment.create(self._path)
        try:
            segment.append([bytes(_PROBE_BYTES)], datetime.now(UTC))
        finally:
            segment.remove()
        self.free_bytes = shutil.disk_usage(self._path).free

    def close(self) -> None:
        """Leaves the segments to whoever takes them next."""
        for segment in self.segments:
            segment.close()
        self._current, self._full = None, []


def _bytes_in(folder: Path) -> int:
    size = 0
    if folder.is_dir():
        for path in folder.iterdir():
            with suppress(FileNotFoundError):  # somebody moves them back
                size += path.stat().st_size
    return size

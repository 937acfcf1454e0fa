"""The segments of one process, those that dead ones have left, and beside them the rows that the database refused.

A refused row is a file of its own, in the form of a segment: moved back among the others, it is tried again.
"""

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from app.db.spool.segment import SUFFIX, Line, Segment, sync_folder

_FULL_BYTES = 64 * 2**20  # what is back in the database is removed by the segment
_PROBE_BYTES = 2**20
_MODE = 0o700


class Folder:
    """Everything in it waits for the disk: it is called in a thread. One call at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rejected = path / "rejected"
        self._current: Segment | None = None
        self._full: list[Segment] = []
        self.rejected_bytes = 0

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
        segment, self._current = self._current, None
        if segment is not None and segment.rows:
            self._full.append(segment)
        elif segment is not None:
            segment.remove()

    def adopt(self) -> int:
        """Takes what dead processes have left; returns how many segments. Raises OSError."""
        held = {segment.path for segment in self.segments}
        paths = sorted(path for path in self._path.glob(f"[!.]*{SUFFIX}") if path not in held)
        adopted = [segment for segment in map(Segment.adopt, paths) if segment]
        self._full += adopted
        self.rejected_bytes = _bytes_in(self._rejected)
        return len(adopted)

    def next_to_drain(self) -> Segment | None:
        """One that nothing is written to any longer: it can be read to its end, and removed."""
        if not self._full:
            self._rotate()
        return self._full[0] if self._full else None

    def remove(self, segment: Segment) -> None:
        """All of its rows are elsewhere. Raises OSError."""
        self._full.remove(segment)
        segment.remove()

    def put_off(self, segment: Segment) -> None:
        """The others come first."""
        self._full.remove(segment)
        self._full.append(segment)

    def reject(self, name: str, line: Line) -> None:
        """Puts a row aside, durably. Raises OSError."""
        self._rejected.mkdir(mode=_MODE, exist_ok=True)
        path = self._rejected / (name + SUFFIX)
        with path.open("wb") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(self._rejected)
        sync_folder(self._path)
        self.rejected_bytes += len(line)

    def check(self) -> None:
        """Raises OSError unless it takes rows: it is there, or can be made, may be written to, and has room."""
        self._path.mkdir(mode=_MODE, parents=True, exist_ok=True)
        probe = self._path / f".probe-{os.getpid()}"
        try:
            with probe.open("wb") as file:
                file.write(bytes(_PROBE_BYTES))
                file.flush()
                os.fsync(file.fileno())
        finally:
            probe.unlink(missing_ok=True)

    def close(self) -> None:
        """Leaves the segments to whoever takes them next."""
        for segment in self.segments:
            if not segment.rows:
                segment.path.unlink(missing_ok=True)
            segment.close()
        self._current, self._full = None, []


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir()) if folder.is_dir() else 0

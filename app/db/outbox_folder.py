"""The outbox's folder and files: private, on a disk of this machine, with the locks of all workers and commands."""

import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

_MOUNTS = Path("/proc/self/mounts")
_NETWORK_FILE_SYSTEMS = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "fuse.gcsfuse", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs", "glusterfs",
    "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs",
})  # fmt: skip
_NEW_BALLAST = "outbox.ballast-new"
_BALLAST_BYTES = 2 * 2**20
"""The size of the ballast, a reserve file that is deleted when the disk is full: SQLite needs some space for its
journal even to delete rows."""


class OutboxFolder:
    """No file behind a symbolic link is opened. Each method raises OSError if the disk fails."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path / "outbox.db"
        self._journal = path / "outbox.db-journal"
        self._ballast = path / "outbox.ballast"

    def prepare(self) -> None:
        """Creates the folder for this user alone. Raises OSError for a symbolic link or a network file system."""
        if self.path.is_symlink():
            raise OSError(errno.ELOOP, "it is a symbolic link")
        if not self.path.is_dir():
            self.path.mkdir(mode=0o700, parents=True)
            _sync(self.path.parent)
        kind = file_system(self.path.resolve(), _MOUNTS.read_bytes() if _MOUNTS.exists() else b"")
        if kind in _NETWORK_FILE_SYSTEMS:
            raise OSError(errno.ENOTSUP, f"its file system is {kind}, where SQLite's locks are not reliable")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One process at a time. The lock is opened each time: the folder may have been removed and created again."""
        if self.path.is_symlink() or not self.path.is_dir():
            self.prepare()
        descriptor = self.open("outbox.lock", os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def try_lock(self, name: str) -> BinaryIO | None:
        """An exclusive lock, until the file is closed; None if another process has it."""
        file = os.fdopen(self.open(f"{name}.lock", os.O_CREAT | os.O_RDWR), "r+b", buffering=0)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        return file

    def open(self, name: str, flags: int) -> int:
        """A file of this user alone, as a descriptor."""
        return os.open(self.path / name, flags | os.O_NOFOLLOW, 0o600)

    def inode(self) -> int | None:
        """The inode of the database file; None if there is none. Raises OSError if it is no regular file."""
        return _inode(self.file)

    def create_file(self) -> int | None:
        """Prepares the folder, and creates the database file unless there is one. Returns its inode."""
        self.prepare()
        inode = self.inode()
        _inode(self._journal)  # raises if it is a symbolic link
        if inode is None:
            self._journal.unlink(missing_ok=True)  # left behind, it would be rolled back into this file
            os.close(self.open(self.file.name, os.O_CREAT | os.O_EXCL | os.O_RDWR))
            _sync(self.path)
            inode = self.inode()
        return inode

    def remove_file(self) -> None:
        """Removes the database file and its journal."""
        for path in (self._journal, self.file):
            path.unlink(missing_ok=True)
        _sync(self.path)

    def rename_damaged(self) -> Path:
        """Renames the database file. The journal first: left behind, it would be rolled back into the next file."""
        path = self.path / f"damaged-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}.db"
        with suppress(FileNotFoundError):
            self._journal.rename(path.with_name(f"{path.name}-journal"))
        self.file.rename(path)
        _sync(self.path)
        return path

    def damaged_files(self) -> int:
        """The number of files that were renamed."""
        return len(list(self.path.glob("damaged-*.db")))

    def free_bytes(self) -> int:
        """What the disk has. Renews the ballast if that is enough."""
        free = shutil.disk_usage(self.path).free
        if not self._ballast.exists() and free > 4 * _BALLAST_BYTES:
            with suppress(OSError):  # as on a disk with a quota; `check` reports it
                self.renew_ballast()
        return free

    def renew_ballast(self) -> None:
        """Writes a file that can be given up when the disk is full."""
        with self.locked():  # one name for all processes: a killed one leaves no further file behind
            try:
                with os.fdopen(self.open(_NEW_BALLAST, os.O_CREAT | os.O_TRUNC | os.O_WRONLY), "wb") as file:
                    file.write(os.urandom(_BALLAST_BYTES))  # some file systems store zeros without taking space
                    file.flush()
                    os.fsync(file.fileno())
                (self.path / _NEW_BALLAST).rename(self._ballast)
            except OSError:
                (self.path / _NEW_BALLAST).unlink(missing_ok=True)
                raise

    def drop_ballast(self) -> bool:
        """Whether that has freed any space."""
        existed = self._ballast.exists()
        self._ballast.unlink(missing_ok=True)
        return existed


def file_system(folder: Path, mounts: bytes) -> str:
    """The type of a folder's file system; the last mount on the longest path decides. `mounts` is `/proc/mounts`."""
    depth, found = -1, ""
    for line in mounts.split(b"\n")[:-1]:
        _, point, kind, *_ = line.split(b" ")
        # A space is \040; other bytes are those of the name, in any encoding.
        mounted = Path(os.fsdecode(point.decode("unicode_escape").encode("latin-1")))
        if folder.is_relative_to(mounted) and len(mounted.parts) >= depth:
            depth, found = len(mounted.parts), kind.decode()
    return found


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _inode(path: Path) -> int | None:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.ELOOP, "it is a symbolic link or no regular file", path.name)
    return status.st_ino

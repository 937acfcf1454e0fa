"""The folder of the outbox: private, on a disk of this machine, and not behind a symbolic link."""

import errno
import os
from pathlib import Path

_MOUNTS = Path("/proc/self/mounts")
_NETWORK_FILE_SYSTEMS = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "fuse.gcsfuse", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs", "glusterfs",
    "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs",
})  # fmt: skip


def make_private(folder: Path) -> None:
    """Creates the folder for this user alone. Raises OSError for a symbolic link or a network file system."""
    if folder.is_symlink():
        raise OSError(errno.ELOOP, "it is a symbolic link")
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True)
        sync(folder.parent)
    kind = file_system(folder.resolve(), _MOUNTS.read_text() if _MOUNTS.exists() else "")
    if kind in _NETWORK_FILE_SYSTEMS:
        raise OSError(errno.ENOTSUP, f"its file system is {kind}, where SQLite's locks are not reliable")


def file_system(folder: Path, mounts: str) -> str:
    """The type of a folder's file system; the last mount on the longest path decides. `mounts` is `/proc/mounts`."""
    depth, found = -1, ""
    for line in mounts.splitlines():
        _, point, kind, *_ = line.split(" ")
        mounted = Path(point.encode().decode("unicode_escape"))  # a space is \040
        if folder.is_relative_to(mounted) and len(mounted.parts) >= depth:
            depth, found = len(mounted.parts), kind
    return found


def sync(folder: Path) -> None:
    """Makes the names of new, renamed and removed files durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

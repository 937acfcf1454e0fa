"""The outbox's folder and its disk: permissions, symbolic links, full and read-only disks."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from app.db.outbox_folder import file_system
from tests.db.writers import fill_outbox, full_disk, outbox, outbox_file, prompts_in, records
from tests.support.records import record


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MiB."""
    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("only root can mount a file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "outbox", folder], check=False).returncode:
        pytest.skip("this container cannot mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def fill(path: Path) -> None:
    """Takes every byte that is free."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_folder_and_files_are_private_to_the_user(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "outbox"
    mask = os.umask(0)
    try:
        with closing(outbox_file(folder)) as file:
            file.append(records("secret"))
            file.status()
            (file.replay_lock() or pytest.fail("no lock")).close()
    finally:
        os.umask(mask)
    assert folder.stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert {"outbox.db", "outbox.db-journal", "outbox.lock", "outbox.ballast"} < modes.keys()
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize("name", ["outbox.db", "outbox.db-journal", "outbox.lock", "."])
def test_symbolic_links_are_not_followed(tmp_path: Path, name: str) -> None:
    folder, target = tmp_path / "outbox", tmp_path / "precious"
    target.mkdir() if name == "." else target.touch()
    if name != ".":
        folder.mkdir()
    (folder / name).symlink_to(target)
    with closing(outbox_file(folder)) as file, pytest.raises(OSError, match=r"symbolic link"):
        file.append(records("one"))
    assert not list(target.iterdir()) if name == "." else not target.stat().st_size


def test_file_system_is_that_of_the_last_mount_on_the_longest_path(tmp_path: Path) -> None:
    mounted = ("/ ext4", "/data nfs4", "/data/my\\040disk xfs", "/mnt/données nfs", "/tmp tmpfs", "/tmp cifs")
    mounts = "".join(f"device {each} rw 0 0\n" for each in mounted).encode() + b"device /mnt/\xff vfat rw 0 0\n"
    folders = {
        "/data/outbox": "nfs4",
        "/data/my disk/outbox": "xfs",
        "/database": "ext4",
        "/mnt/données/outbox": "nfs",
        "/mnt/\udcff/outbox": "vfat",
        "/tmp/a": "cifs",
    }
    assert {folder: file_system(Path(folder), mounts) for folder in folders} == folders


def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"nas:/chats {tmp_path} nfs4 rw 0 0\n")
    monkeypatch.setattr("app.db.outbox_folder._MOUNTS", mounts)
    with pytest.raises(OSError, match="nfs4"):
        outbox_file(tmp_path / "outbox").check()


def test_removed_folder_is_created_again(tmp_path: Path) -> None:
    folder = tmp_path / "outbox"
    with closing(outbox_file(folder)) as file:
        file.append(records("gone"))
        shutil.rmtree(folder)
        file.append(records("here"))
    assert prompts_in(folder) == ["here"]


def test_batch_that_does_not_fit_on_the_disk_is_rolled_back_and_rows_can_be_deleted(tmp_path: Path) -> None:
    with closing(outbox_file(tmp_path)) as file:
        kept = records("kept", "also kept")
        file.append(kept)
        with full_disk((tmp_path / "outbox.db").stat().st_size):
            with pytest.raises(sqlite3.OperationalError):
                file.append(records("fits", "x" * 10**6))
            assert len(file.next_rows(max_rows=9, max_bytes=10**9)) == 2
            file.delete([str(kept[0].id)])
        file.append(records("after"))
    assert prompts_in(tmp_path) == ["also kept", "after"]


def test_ballast_is_kept_when_an_update_fails_for_another_reason(tmp_path: Path) -> None:
    with closing(outbox_file(tmp_path)) as file:
        file.append(records("one"))
        assert file.status().rows == 1
        file.run(lambda rows: rows.execute("DROP TABLE chat_logs"))
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            file.delete(["any id"])
    assert (tmp_path / "outbox.ballast").exists()


def test_read_only_disk_raises_until_it_is_writable_again(small_disk: Path) -> None:
    with closing(outbox_file(small_disk)) as file:
        file.append(records("before"))
        file.close()  # the kernel would not change a disk with files that are open for writing
        subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
        for _ in range(2):
            with pytest.raises(OSError, match="Read-only"):
                file.append(records("lost"))
        subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
        file.append(records("after"))
    assert prompts_in(small_disk) == ["before", "after"]


def test_rows_can_be_deleted_and_rejected_on_a_full_disk(small_disk: Path) -> None:
    with closing(outbox_file(small_disk)) as file:
        written = [record(prompt="x" * 1000) for _ in range(300)]
        file.append(written)
        file.status()
        fill(small_disk / "other")
        with pytest.raises(sqlite3.OperationalError, match="full"):
            file.append([record(prompt="x" * 10**5)])
        batch = file.next_rows(max_rows=200, max_bytes=4 * 2**20)
        file.delete([row_id for row_id, _ in batch])
        file.reject(str(written[-1].id), "refused")
        status = file.status()
    assert (status.rows, status.rejected_rows) == (99, 1)


async def test_outbox_knows_from_its_start_that_the_disk_is_full(small_disk: Path) -> None:
    fill_outbox(small_disk, records("before"))
    (small_disk / "outbox.ballast").unlink(missing_ok=True)
    fill(small_disk / "other")
    async with outbox(small_disk) as disk:
        available = [disk.available]
        assert disk.free_bytes(on_disk=True) == 0
        (small_disk / "other").unlink()
        await disk.refresh_status()
        available.append(disk.available)
        assert disk.rows == 1
    assert available == [False, True]

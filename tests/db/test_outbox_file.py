"""The outbox's file: what is stored stays stored, whatever happens to processes, the disk and the file."""

import fcntl
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.record import ChatRecord
from app.db.outbox_folder import file_system
from app.db.replay import decode
from app.db.reservations import Reservations
from tests.db.keeping import leave, outbox_file, prompts_in, stored
from tests.support.processes import PROJECT
from tests.support.records import record
from tests.support.waiting import wait_until

OTHER = "postgresql://other.example.org:5432/chats"


def records(*prompts: str) -> list[ChatRecord]:
    return [record(prompt=prompt) for prompt in prompts]


@contextmanager
def full_disk(after_bytes: int) -> Iterator[None]:
    """No file may grow larger: the kernel refuses it as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (after_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


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


def child(code: str, *args: object) -> subprocess.Popen[str]:
    """A process of its own, which writes a line for each thing that it has done."""
    imports = "import os, sys; from pathlib import Path; from tests.db.test_outbox_file import outbox_file, record\n"
    command = [sys.executable, "-c", imports + code, *map(str, args)]
    return subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)


@given(st.text(), st.text())
def test_any_text_survives(prompt: str, response: str) -> None:
    written = record(prompt=prompt, response=response).storable()
    assert decode(msgspec.json.encode(written)) == written


def test_a_row_of_a_version_that_had_more_fields_can_be_read_and_anything_else_is_an_error() -> None:
    odd = record(params={"seed": 10**30, "x": [1.5, None, "\n\u2028"]}, response='quotes " \n', reasoning=None)
    assert decode(msgspec.json.encode(odd)) == odd
    assert decode(msgspec.json.encode(odd).replace(b"{", b'{"from_the_future":1,', 1)) == odd
    for payload in (b"", b"null", b"{}", b'{"id": 5}', b"\xff", msgspec.json.encode(odd)[:-9]):
        with pytest.raises(ValueError, match="cannot be read"):
            decode(payload)


def test_rows_are_durable_in_a_rollback_journal(tmp_path: Path) -> None:
    with closing(outbox_file(tmp_path)) as file:
        pragmas = {name: file.run(lambda rows, name=name: rows.execute(f"PRAGMA {name}").fetchone()[0])  # type: ignore[misc]
                   for name in ("journal_mode", "synchronous", "busy_timeout")}  # fmt: skip
    assert pragmas == {"journal_mode": "truncate", "synchronous": 2, "busy_timeout": 5000}


def test_rows_are_read_oldest_first_in_bounded_batches_of_one_at_least(tmp_path: Path) -> None:
    with closing(outbox_file(tmp_path)) as file:
        written = records("one", "two", "three")
        file.append(written)
        file.append(written)  # ids that are there are ignored
        ids = [str(each.id) for each in written]
        assert [row_id for row_id, _ in file.next_rows(max_rows=2, max_bytes=10**9)] == ids[:2]
        assert [row_id for row_id, _ in file.next_rows(max_rows=9, max_bytes=1)] == ids[:1]
        file.postpone(ids[0], "too slow")
        assert [row_id for row_id, _ in file.next_rows(max_rows=9, max_bytes=10**9)] == [*ids[1:], ids[0]]
        file.reject(ids[1], "refused")
        file.delete([ids[2]])
        assert [row_id for row_id, _ in file.next_rows(max_rows=9, max_bytes=10**9)] == ids[:1]
        usage = file.usage()
    assert (usage.rows, usage.rejected_rows, usage.oldest) == (1, 1, written[0].created_at.timestamp())


def test_rows_for_another_database_are_left_alone(tmp_path: Path) -> None:
    leave(tmp_path, records("mine"))
    leave(tmp_path, records("theirs"), database=OTHER)
    with closing(outbox_file(tmp_path)) as mine, closing(outbox_file(tmp_path, database=OTHER)) as theirs:
        (row,) = mine.next_rows(max_rows=9, max_bytes=10**9)
        (other,) = theirs.next_rows(max_rows=9, max_bytes=10**9)
        assert (decode(row[1]).prompt, decode(other[1]).prompt) == ("mine", "theirs")
        assert mine.usage().rows == 2
        with mine.lease() or pytest.fail("no lease"), theirs.lease() or pytest.fail("no lease"):
            pass


def test_everything_is_for_this_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "outbox"
    mask = os.umask(0)
    try:
        with closing(outbox_file(folder)) as file:
            file.append(records("secret"))
            file.usage()
            (file.lease() or pytest.fail("no lease")).close()
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


def test_the_type_of_a_file_system_is_that_of_the_last_mount_above(tmp_path: Path) -> None:
    mounts = "".join(
        f"device {mounted} rw 0 0\n"
        for mounted in ("/ ext4", "/data nfs4", "/data/my\\040disk xfs", "/tmp tmpfs", "/tmp cifs")
    )
    folders = {"/data/outbox": "nfs4", "/data/my disk/outbox": "xfs", "/database": "ext4", "/tmp/a": "cifs"}
    assert {folder: file_system(Path(folder), mounts) for folder in folders} == folders


def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"nas:/chats {tmp_path} nfs4 rw 0 0\n")
    monkeypatch.setattr("app.db.outbox_folder._MOUNTS", mounts)
    with pytest.raises(OSError, match="nfs4"):
        outbox_file(tmp_path / "outbox").check()


def test_of_many_processes_one_has_the_lease_until_it_dies(tmp_path: Path) -> None:
    code = "lease = outbox_file(Path(sys.argv[1])).lease(); print(lease is not None, flush=True); sys.stdin.read()"
    holder = child(code, tmp_path)
    try:
        assert holder.stdout
        assert holder.stdout.readline() == "True\n"
        assert outbox_file(tmp_path).lease() is None
    finally:
        holder.kill()
        holder.communicate()
    with outbox_file(tmp_path).lease() or pytest.fail("nobody has it"):
        assert outbox_file(tmp_path).lease() is None


WRITES = """
file = outbox_file(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    row = record(prompt="x" * 20_000)
    file.append([row])
    print(row.id, flush=True)
"""


def test_what_a_killed_process_had_stored_is_there_and_the_file_is_whole(tmp_path: Path) -> None:
    """Killed in the middle of a write, again and again."""
    acknowledged: list[str] = []
    for round_ in range(5):
        writer = child(WRITES, tmp_path, 10**6)
        assert writer.stdout
        lines = [writer.stdout.readline() for _ in range(3 + 2 * round_)]
        writer.kill()
        rest, _ = writer.communicate()
        acknowledged += [line.strip() for line in [*lines, *rest.splitlines(keepends=True)] if line.endswith("\n")]
    ids = [row["id"] for row in stored(tmp_path)]
    assert len(ids) == len(set(ids))
    assert set(acknowledged) <= set(ids)
    assert len(ids) <= len(acknowledged) + 5
    with closing(outbox_file(tmp_path)) as file:
        assert file.run(lambda rows: rows.execute("PRAGMA integrity_check").fetchall()) == [("ok",)]


def test_workers_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    writers = [child(WRITES, tmp_path, 40) for _ in range(4)]
    acknowledged = [line for writer in writers for line in writer.communicate(timeout=60)[0].split()]
    assert len(acknowledged) == 160
    assert sorted(acknowledged) == sorted(row["id"] for row in stored(tmp_path))


@pytest.mark.parametrize("damage", [b"this is no database", bytes(100)])
def test_a_damaged_file_is_moved_aside_and_no_other_process_goes_on_writing_into_it(
    tmp_path: Path, damage: bytes
) -> None:
    with closing(outbox_file(tmp_path)) as one, closing(outbox_file(tmp_path)) as two:
        one.append(records("lost"))
        two.append(records("lost too"))
        with (tmp_path / "outbox.db").open("r+b") as file:  # as a disk would do it: the inode stays
            file.write(damage)
        one.append(records("first"))
        two.append(records("second"))
        (aside,) = tmp_path.glob("damaged-*.db")
        assert aside.read_bytes().startswith(damage)
        assert one.usage().damaged_files == two.usage().damaged_files == 1
    assert prompts_in(tmp_path) == ["first", "second"]


def test_a_file_that_is_damaged_while_processes_write_gets_nothing_more_from_any_of_them(tmp_path: Path) -> None:
    """Of each process, all rows from one on are in the fresh file."""
    writers = [child(WRITES, tmp_path, 10**6) for _ in range(3)]
    read = [[writer.stdout.readline() for _ in range(5)] for writer in writers if writer.stdout]
    with (tmp_path / "outbox.lock").open("rb") as lock, (tmp_path / "outbox.db").open("r+b") as file:
        fcntl.flock(lock, fcntl.LOCK_EX)  # between two transactions
        file.write(bytes(4096))
    wait_until(lambda: len(stored(tmp_path)) > 100, "nothing is written any longer")
    for writer in writers:
        writer.kill()
    rest = [writer.communicate(timeout=60)[0].splitlines() for writer in writers]
    fresh = {row["id"] for row in stored(tmp_path)}
    assert len(list(tmp_path.glob("damaged-*.db"))) == 1
    for before, after in zip(read, rest, strict=True):
        acknowledged = [line.strip() for line in before] + [line for line in after if len(line) == 36]  # no log lines
        first = next(number for number, row_id in enumerate(acknowledged) if row_id in fresh)
        assert first >= 5
        assert set(acknowledged[first:]) <= fresh


def test_a_journal_without_its_file_is_not_rolled_back_into_the_fresh_one(tmp_path: Path) -> None:
    leave(tmp_path, records("gone"))
    code = (
        "import sqlite3; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('PRAGMA cache_size=1')\n"
        "c.execute('BEGIN'); c.execute('UPDATE chat_logs SET payload = zeroblob(9000000)'); print(1, flush=True)\n"
        "os.kill(os.getpid(), 9)"
    )
    child(code, tmp_path / "outbox.db").communicate()
    assert (tmp_path / "outbox.db-journal").stat().st_size > 0
    (tmp_path / "outbox.db").unlink()
    leave(tmp_path, records("fresh"))
    assert prompts_in(tmp_path) == ["fresh"]


def test_a_drained_file_is_removed_and_other_processes_use_the_next_one(tmp_path: Path) -> None:
    reservations = Reservations()
    with closing(outbox_file(tmp_path, reservations=reservations)) as one, closing(outbox_file(tmp_path)) as two:
        written = records("secret of somebody")
        two.append(written)
        assert not one.remove_if_empty()
        one.delete([str(written[0].id)])
        assert reservations.used_bytes > 0
        assert one.remove_if_empty()
        assert reservations.used_bytes == 0
        assert not any(b"secret" in path.read_bytes() for path in tmp_path.iterdir())
        two.append(records("next"))
        assert [decode(payload).prompt for _, payload in one.next_rows(max_rows=9, max_bytes=9)] == ["next"]


def test_a_folder_that_was_removed_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "outbox"
    with closing(outbox_file(folder)) as file:
        file.append(records("gone"))
        shutil.rmtree(folder)
        file.append(records("here"))
    assert prompts_in(folder) == ["here"]


def test_the_space_that_is_used_is_that_of_pages_with_rows(tmp_path: Path) -> None:
    reservations = Reservations()
    with closing(outbox_file(tmp_path, reservations=reservations)) as file:
        file.append(records("small"))
        small = reservations.used_bytes
        large = records("x" * 10**6)
        file.append(large)
        assert reservations.used_bytes > small + 10**6
        file.delete([str(large[0].id)])
        assert reservations.used_bytes < small + 10**5
        assert (tmp_path / "outbox.db").stat().st_size > 10**6  # free pages, for the next rows
        assert file.usage().free_bytes > shutil.disk_usage(tmp_path).free


def test_a_batch_that_does_not_fit_leaves_nothing_and_what_is_stored_can_be_read_and_deleted(tmp_path: Path) -> None:
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


def test_a_disk_that_is_read_only_takes_nothing_until_it_can_be_written_again(small_disk: Path) -> None:
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


def test_on_a_disk_without_a_free_byte_rows_can_be_deleted_and_rejected(small_disk: Path) -> None:
    with closing(outbox_file(small_disk)) as file:
        written = [record(prompt="x" * 1000) for _ in range(300)]
        file.append(written)
        file.usage()
        fill(small_disk / "other")
        with pytest.raises(sqlite3.OperationalError, match="full"):
            file.append([record(prompt="x" * 10**5)])
        batch = file.next_rows(max_rows=200, max_bytes=4 * 2**20)
        file.delete([row_id for row_id, _ in batch])
        file.reject(str(written[-1].id), "refused")
        usage = file.usage()
    assert (usage.rows, usage.rejected_rows) == (99, 1)

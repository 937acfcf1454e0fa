"""The rows in the outbox's file: which are read, and what they occupy."""

from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.db.replay import decode
from app.db.reservations import Reservations
from tests.db.writers import fill_outbox, outbox_file, records
from tests.support.records import record

OTHER = "postgresql://other.example.org:5432/chats"


@given(st.text(), st.text())
def test_any_text_is_encoded_and_decoded_unchanged(prompt: str, response: str) -> None:
    written = record(prompt=prompt, response=response).storable()
    assert decode(msgspec.json.encode(written)) == written


def test_unknown_fields_of_a_payload_are_ignored_and_invalid_payloads_raise() -> None:
    odd = record(params={"seed": 10**30, "x": [1.5, None, "\n\u2028"]}, response='quotes " \n', reasoning=None)
    assert decode(msgspec.json.encode(odd)) == odd
    assert decode(msgspec.json.encode(odd).replace(b"{", b'{"from_the_future":1,', 1)) == odd
    for payload in (b"", b"null", b"{}", b'{"id": 5}', b"\xff", msgspec.json.encode(odd)[:-9]):
        with pytest.raises(ValueError, match="cannot be read"):
            decode(payload)


def test_file_has_a_rollback_journal_and_full_synchronous(tmp_path: Path) -> None:
    with closing(outbox_file(tmp_path)) as file:
        pragmas = {name: file.run(lambda rows, name=name: rows.execute(f"PRAGMA {name}").fetchone()[0])  # type: ignore[misc]
                   for name in ("journal_mode", "synchronous", "busy_timeout")}  # fmt: skip
    assert pragmas == {"journal_mode": "truncate", "synchronous": 2, "busy_timeout": 5000}


def test_rows_are_read_oldest_first_in_batches_of_limited_size(tmp_path: Path) -> None:
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
        status = file.status()
    assert (status.rows, status.rejected_rows, status.oldest) == (1, 1, written[0].created_at.timestamp())


def test_rows_for_another_database_are_not_read(tmp_path: Path) -> None:
    fill_outbox(tmp_path, records("mine"))
    fill_outbox(tmp_path, records("theirs"), database=OTHER)
    with closing(outbox_file(tmp_path)) as mine, closing(outbox_file(tmp_path, database=OTHER)) as theirs:
        (row,) = mine.next_rows(max_rows=9, max_bytes=10**9)
        (other,) = theirs.next_rows(max_rows=9, max_bytes=10**9)
        assert (decode(row[1]).prompt, decode(other[1]).prompt) == ("mine", "theirs")
        assert mine.status().rows == 2
        with mine.replay_lock() or pytest.fail("no lock"), theirs.replay_lock() or pytest.fail("no lock"):
            pass


def test_used_bytes_are_those_of_pages_with_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Other processes write to the real disk.
    monkeypatch.setattr("app.db.outbox_folder.shutil.disk_usage", lambda _: SimpleNamespace(free=10**9))
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
        assert file.status().free_bytes > 10**9 + 10**6

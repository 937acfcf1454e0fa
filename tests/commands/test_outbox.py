"""`python -m app outbox`, on a real outbox."""

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from app.core.config import Settings
from app.db.engine import database_identity
from app.db.replay import decode
from tests.db.writers import fill_outbox, outbox_file, prompts_in
from tests.support.processes import run
from tests.support.records import record

URL = "postgresql://me:secret@DB.example.org/chats"
DATABASE = "postgresql://db.example.org:5432/chats"
ENV = {"DATABASE_URL": URL, "OUTBOX_DIR": "outbox"}


def test_database_identity_has_no_credentials() -> None:
    def identity(url: str) -> str:
        return database_identity(Settings(_env_file=None, database_url=url))

    assert identity(URL) == identity("postgres://you@db.example.org/chats?sslmode=require") == DATABASE
    assert identity("postgresql://me@/chats?host=one&host=two") != identity(
        "postgresql://me@/chats?host=one&host=three"
    )
    assert len({identity(URL), identity(f"{URL}2"), identity(URL.replace("org", "org:5433"))}) == 3


def test_waiting_and_rejected_rows_are_listed_without_prompts(tmp_path: Path) -> None:
    folder, bad = tmp_path / "outbox", record(prompt="secret")
    fill_outbox(folder, [record(prompt="secret"), record(prompt="secret")], database=DATABASE)
    fill_outbox(folder, [record(prompt="secret")], database="postgresql://old/chats")
    with closing(outbox_file(folder, database=DATABASE)) as file:
        file.append([bad], error="violates a check \x1b[31m")
    (folder / "damaged-20261126T184000.000000.db").touch()
    code, output = run(["app", "outbox"], cwd=tmp_path, env=ENV)
    assert code == 0
    assert "secret" not in output
    assert f"rows that wait for {DATABASE}: 2, the oldest since 2026-11-22 10:30:15 UTC\n" in output
    assert "postgresql://old/chats: 1, the oldest since 2026-11-22 10:30:15 UTC; it is not DATABASE_URL" in output
    assert f"{bad.id}  2026-11-22 10:30:15 UTC  violates a check \ufffd[31m\n" in output
    assert "damaged-20261126T184000.000000.db is damaged" in output


def test_empty_outbox_is_reported(tmp_path: Path) -> None:
    assert run(["app", "outbox"], cwd=tmp_path, env=ENV) == (0, "rows that wait: 0\nrows that were rejected: 0\n")


def test_rejected_rows_are_retried_and_rows_of_another_database_claimed(tmp_path: Path) -> None:
    folder = tmp_path / "outbox"
    fill_outbox(folder, [record(prompt="moved")], database="postgresql://old/chats")
    with closing(outbox_file(folder, database=DATABASE)) as file:
        file.append([record(prompt="mended")], error="refused")
        assert run(["app", "outbox", "--retry"], cwd=tmp_path, env=ENV) == (0, "rows to be tried again: 1\n")
        assert [decode(payload).prompt for _, payload in file.next_rows(max_rows=9, max_bytes=10**9)] == ["mended"]
        assert run(["app", "outbox", "--claim"], cwd=tmp_path, env=ENV) == (0, f"rows that are for {DATABASE} now: 1\n")
        assert len(file.next_rows(max_rows=9, max_bytes=10**9)) == 2


def test_export_continues_after_a_payload_that_is_damaged(tmp_path: Path) -> None:
    fill_outbox(tmp_path / "outbox", [record(prompt="damaged"), record(prompt="whole")], database=DATABASE)
    with closing(sqlite3.connect(tmp_path / "outbox" / "outbox.db")) as rows, rows:
        [(row_id, payload)] = rows.execute("SELECT id, payload FROM chat_logs ORDER BY id LIMIT 1").fetchall()
        changed = payload.replace(b"damaged", b"\xffamaged")
        assert changed != payload
        rows.execute("UPDATE chat_logs SET payload = ? WHERE id = ?", (changed, row_id))
    code, exported = run(["app", "outbox", "--export"], cwd=tmp_path, env=ENV)
    assert (code, exported.count("\n")) == (0, 2)
    assert "\ufffdamaged" in exported
    assert "whole" in exported


def test_export_is_imported_once_on_another_machine(tmp_path: Path) -> None:
    written = [record(prompt=f"{number}\u2028\x1b", messages=b"[\r\n{}]") for number in range(450)]
    fill_outbox(tmp_path / "outbox", [each.storable() for each in written], database=DATABASE)
    code, exported = run(["app", "outbox", "--export"], cwd=tmp_path, env=ENV)
    assert (code, exported.count("\n")) == (0, 450)
    assert "\x1b" not in exported
    (tmp_path / "rows.jsonl").write_text(exported)
    other = {**ENV, "OUTBOX_DIR": "other"}
    for _ in range(2):  # repeating it adds nothing
        code, output = run(["app", "outbox", "--import", "rows.jsonl"], cwd=tmp_path, env=other)
        assert (code, output) == (0, "rows added: 450; lines that are no rows: 0\n")
    assert sorted(prompts_in(tmp_path / "other")) == sorted(str(each.prompt) for each in written)


def test_old_spool_is_imported_without_torn_lines(tmp_path: Path) -> None:
    old = tmp_path / "spool"
    (old / "rejected").mkdir(parents=True)
    lines = [msgspec.json.encode(record(prompt=prompt)) + b"\n" for prompt in ("one", "two", "refused")]
    (old / "a.jsonl").write_bytes(lines[0] + lines[1] + b'{"torn')
    (old / "rejected" / "b.jsonl").write_bytes(lines[2])
    code, output = run(["app", "outbox", "--import", "spool"], cwd=tmp_path, env=ENV)
    assert (code, output) == (1, "rows added: 3; lines that are no rows: 1\n")
    assert sorted(prompts_in(tmp_path / "outbox")) == ["one", "refused", "two"]


def test_unusable_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "outbox").touch()
    code, output = run(["app", "outbox"], cwd=tmp_path, env=ENV)
    assert (code, output.count("\n")) == (1, 1)
    assert output.startswith("cannot use the outbox in outbox: ")
    code, output = run(["app", "outbox", "--import", "nothing"], cwd=tmp_path, env=ENV)
    assert (code, output.count("\n")) == (1, 1)

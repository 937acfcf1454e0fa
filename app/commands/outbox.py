"""`python -m app outbox`: the rows on this machine that wait for the database, and those that it rejected.

The service may run meanwhile. Prompts and answers are shown by `--export` alone.
"""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.commands.output import fail, show, show_json
from app.core.config import Settings
from app.core.text import printable, printable_json
from app.db.engine import database_identity
from app.db.outbox_file import OutboxFile
from app.db.replay import decode

_WAITING = "SELECT database, count(*), min(created_at) FROM chat_logs WHERE rejected_at IS NULL GROUP BY database"
_REJECTED = "SELECT id, created_at, last_error FROM chat_logs WHERE rejected_at IS NOT NULL ORDER BY created_at"
_RETRY = "UPDATE chat_logs SET rejected_at = NULL, attempts = 0 WHERE rejected_at IS NOT NULL"
_CLAIM = "UPDATE chat_logs SET database = ? WHERE database != ?"
_PAYLOADS = "SELECT id, payload FROM chat_logs WHERE id > ? ORDER BY id LIMIT 200"
_BATCH_ROWS = 200


def outbox(settings: Settings, *, retry: bool, claim: bool, export: bool, source: Path | None) -> int:
    """Returns the exit code."""
    database = database_identity(settings)
    file = OutboxFile(settings.outbox_dir, database=database)
    try:
        if retry:
            show(f"rows to be tried again: {file.run(lambda rows: rows.execute(_RETRY).rowcount)}")
        elif claim:
            count = file.run(lambda rows: rows.execute(_CLAIM, (database, database)).rowcount)
            show(f"rows that are for {printable(database)} now: {count}")
        elif export:
            _export(file)
        elif source:
            return _import(file, source)
        else:
            _list(file, settings.outbox_dir, database)
    except (OSError, sqlite3.Error) as exc:
        return fail(f"cannot use the outbox in {settings.outbox_dir}: {exc}")
    finally:
        file.close()
    return 0


def _list(file: OutboxFile, folder: Path, database: str) -> None:
    waiting = file.run(lambda rows: rows.execute(_WAITING).fetchall())
    rejected = file.run(lambda rows: rows.execute(_REJECTED).fetchall())
    for name, count, oldest in waiting:
        hint = "" if name == database else "; it is not DATABASE_URL, --claim assigns them to that"
        show(f"rows that wait for {printable(name)}: {count}, the oldest since {_time(oldest)}{hint}")
    if not waiting:
        show("rows that wait: 0")
    show(f"rows that were rejected: {len(rejected)}{'; --retry tries them again' if rejected else ''}")
    for row_id, created_at, error in rejected:
        show(f"  {printable(row_id)}  {_time(created_at)}  {printable(error or '')}")
    for path in sorted(folder.glob("damaged-*.db")):
        show(f"{path} is damaged; deploy/runbook.md describes how to recover its rows")


def _export(file: OutboxFile) -> None:
    for page in pages(file, _PAYLOADS):
        for _, payload in page:
            # A damaged payload may not be UTF-8. A line end stands between the values of a row's JSON, never in them.
            show_json(printable_json(payload.replace(b"\n", b" ").replace(b"\r", b" ").decode(errors="replace")))


def pages(file: OutboxFile, query: str) -> Iterator[list[tuple[str, Any]]]:
    """Read a page at a time, so that the service does not wait for the lock. The query's first column is the id."""

    def page(rows: sqlite3.Connection) -> list[tuple[str, Any]]:
        return rows.execute(query, (last,)).fetchall()

    last = ""
    while found := file.run(page):
        last = found[-1][0]
        yield found


def _import(file: OutboxFile, source: Path) -> int:
    """Repeating it is harmless: rows are known by their ids."""
    records, unreadable = [], 0
    for line in _lines(source):
        try:
            records.append(decode(line))
        except ValueError:
            unreadable += 1
    for first in range(0, len(records), _BATCH_ROWS):
        file.append(records[first : first + _BATCH_ROWS])
    show(f"rows added: {len(records)}; lines that are no rows: {unreadable}")
    return 1 if unreadable else 0


def _lines(source: Path) -> Iterator[bytes]:
    for path in sorted(source.rglob("*.jsonl")) if source.is_dir() else [source]:
        with path.open("rb") as file:
            yield from file


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"

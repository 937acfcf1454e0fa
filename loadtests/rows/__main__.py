"""`python -m loadtests.rows`: fills each shape with the same rows, and measures writing, reading and deleting them."""

import argparse
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.core.config import Settings
from app.db.migrate import upgrade
from loadtests.bench.machine import description
from loadtests.bench.report import on_terminal
from loadtests.rows.deleting import deleting
from loadtests.rows.filled import Filled
from loadtests.rows.reading import reading
from loadtests.rows.shapes import MONTHS, fill, shapes
from loadtests.rows.writing import writing
from tests.support import postgres as postgres_server
from tests.support.database import execute


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtests.rows", description="How to keep chats in PostgreSQL.")
    parser.add_argument("--rows", type=int, default=1_000_000, help="default: %(default)s")
    rows = parser.parse_args().rows
    print(f"{description()}\n{rows:,} rows over {MONTHS} months, in each shape", flush=True)
    with tempfile.TemporaryDirectory(prefix="rows-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # root lends PostgreSQL to another user
        with postgres_server.running(folder) as postgres:
            filled = _fill(postgres, rows)
            print(f"\n{on_terminal([writing(filled), reading(filled), deleting(filled)])}\n")
    return 0


def _fill(postgres: postgres_server.Postgres, rows: int) -> list[Filled]:
    last = datetime.now(UTC)
    first = last - timedelta(days=30 * MONTHS)
    found = []
    for number, shape in enumerate(shapes(first)):
        print(f"filling: {shape.name}", flush=True)
        execute(postgres.url(), f"CREATE DATABASE shape_{number}")
        url = postgres.url(f"shape_{number}")
        upgrade(Settings(_env_file=None, database_url=url))
        for sql in (*shape.statements, fill(first, last, rows), "VACUUM ANALYZE chat_logs", "CHECKPOINT"):
            execute(url, sql)
        found.append(Filled(shape, url, first, last))
    return found


if __name__ == "__main__":
    sys.exit(main())

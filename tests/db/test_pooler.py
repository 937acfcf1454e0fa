"""PgBouncer in transaction mode, where each transaction may use another connection to PostgreSQL."""

import asyncio
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy.engine import make_url

from app.core.config import Settings
from app.db.engine import create_engine
from app.db.repositories.chat_log import ChatLogRepository
from app.serving.checks import port_problem
from tests.support.ports import free_port
from tests.support.postgres import Postgres
from tests.support.records import record
from tests.support.shared import SharedResources
from tests.support.tools import libraries, tool
from tests.support.waiting import wait_until

CONNECTIONS, INSERTS = 2, 40


@contextmanager
def pooled(server: Postgres, database: str) -> Iterator[str]:
    """The URL of a PgBouncer with fewer connections than its clients have."""
    program, port = tool("pgbouncer"), free_port()
    shown = subprocess.run([program, "--version"], env=libraries(program), capture_output=True, text=True, check=False)
    version = re.search(r"PgBouncer (\d+)\.(\d+)", shown.stdout)
    if version is None or (int(version[1]), int(version[2])) < (1, 21):
        pytest.skip(f"prepared statements need PgBouncer 1.21, and this is {shown.stdout or shown.stderr}")
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # it may run as another user
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\nchats = host=127.0.0.1 port={server.port} dbname={database} user=postgres\n"
            f"[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port={port}\nunix_socket_dir=\nauth_type=any\n"
            f"pool_mode=transaction\ndefault_pool_size={CONNECTIONS}\nmax_prepared_statements=100\n"
        )
        command = [program, folder / "pgbouncer.ini"]
        with subprocess.Popen(command, env=libraries(program), user=server.user, stderr=subprocess.DEVNULL) as bouncer:
            try:
                wait_until(lambda: port_problem("127.0.0.1", port), "PgBouncer does not listen")
                yield f"postgresql+asyncpg://postgres@127.0.0.1:{port}/chats"
            finally:
                bouncer.terminate()


@pytest.mark.needs("pgbouncer")
async def test_rows_are_inserted_over_shared_connections(shared: SharedResources, tmp_path: Path) -> None:
    database = make_url(shared.migrated_database("postgres", tmp_path)).database
    assert database
    with pooled(shared.postgres(), database) as url:
        engines = [create_engine(Settings(_env_file=None, database_url=url)) for _ in range(CONNECTIONS + 1)]
        repositories = [ChatLogRepository(engine) for engine in engines]

        async def insert(rows: ChatLogRepository) -> None:
            for number in range(INSERTS):
                await rows.insert([record() for _ in range(1 + number % 3)])
                await rows.ping()

        await asyncio.gather(*(insert(rows) for rows in repositories for _ in range(2)))
        expected = 2 * len(engines) * sum(1 + number % 3 for number in range(INSERTS))
        assert len(await repositories[0].recent(10_000)) == expected
        for engine in engines:
            await engine.dispose()

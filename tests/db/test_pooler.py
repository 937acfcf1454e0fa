"""PgBouncer in transaction mode, where each transaction may use another connection to PostgreSQL."""

import asyncio
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from app.core.config import Settings
from app.db.engine import create_engine
from app.db.repositories.chat_log import ChatLogRepository
from app.serving.checks import port_problem
from tests.support.database import query
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


async def insert_concurrently(url: str) -> int:
    """Inserts with more connections than the pooler has; returns the number of rows."""
    engines = [create_engine(Settings(_env_file=None, database_url=url)) for _ in range(CONNECTIONS + 1)]
    batches = [1 + number % 3 for number in range(INSERTS)]

    async def insert(rows: ChatLogRepository) -> None:
        for count in batches:
            await rows.insert([record() for _ in range(count)])
            await rows.ping()

    await asyncio.gather(*(insert(ChatLogRepository(engine)) for engine in engines for _ in range(2)))
    for engine in engines:
        await engine.dispose()
    return 2 * len(engines) * sum(batches)


@pytest.mark.needs("pgbouncer")
def test_rows_are_inserted_over_shared_connections(shared: SharedResources, tmp_path: Path) -> None:
    direct = shared.migrated_database("postgres", tmp_path)
    with pooled(shared.postgres(), direct.rpartition("/")[2]) as url:
        count = asyncio.run(insert_concurrently(url))
    assert query(direct, "SELECT count(*) AS stored FROM chat_logs") == [{"stored": count}]

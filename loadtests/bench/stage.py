"""What stands around the servers; who runs on which core, and what a process costs."""

import os
import platform
import resource
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from loadtests.bench.checkout import Checkout, migrated
from loadtests.harness.environment import Environment, environment
from tests.support.processes import PROJECT

_UPSTREAM = ("loadtests.bench.upstream",)
_FILES = 16_384
_PINS = hasattr(os, "sched_setaffinity")
_CORES = sorted(os.sched_getaffinity(0)) if _PINS else [0]
SERVER_CORES, END_CORES = _CORES[:1], _CORES[1:] or _CORES
"""Where servers run, and where all else does; where the system pins nothing, they share all cores."""


@dataclass(frozen=True)
class Stage:
    """`base`: another revision; `tensorzero`: a program; `problems`: why the figures are worthless."""

    real: Environment
    base: Checkout | None = None
    tensorzero: str | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def current(self) -> Checkout:
        """The files of this project as they are."""
        return Checkout(PROJECT, sys.executable, self.real.postgres.url())

    def settings(self, *, signals: bool) -> dict[str, str]:
        """The service's defaults, but for limits that the larger loads would meet, and a shorter wait for spans."""
        service = {"MAX_ACTIVE_STREAMS": "4096", "LOG_FORMAT": "json"}
        traces = {
            "OTEL_TRACES_SAMPLER": "always_on",
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.real.groq.root,
            "OTEL_BSP_SCHEDULE_DELAY": "2000",
        }
        return service | (traces if signals else {})


@contextmanager
def stage(folder: Path, *, base: Path | None = None, tensorzero: str | None = None) -> Iterator[Stage]:
    """In a folder that other users can enter: root runs PostgreSQL as one of them. `base` has another revision."""
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)  # a socket for every stream, here and in the servers
    allowed = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before, allowed), hard))
    with pinned(END_CORES), environment(folder, simulator=_UPSTREAM, keep_alive=False) as real:
        yield Stage(real, migrated(base, real.postgres) if base else None, tensorzero)


@contextmanager
def pinned(cores: Sequence[int]) -> Iterator[None]:
    """Runs this process, with all of its threads, and what it starts meanwhile, on these cores."""
    before = sorted(os.sched_getaffinity(0)) if _PINS else []
    _pin(cores)
    try:
        yield
    finally:
        _pin(before)


def _pin(cores: Sequence[int]) -> None:
    for thread in psutil.Process().threads() if _PINS else []:
        with suppress(ProcessLookupError):  # it has just ended
            os.sched_setaffinity(thread.id, cores)


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

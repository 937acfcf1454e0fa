"""How programs under test start: forked from a process that has their libraries imported, or as people start them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.forking import ForkedProcess, ForkServer

PROJECT = Path(__file__).parents[2]
_PYTHON = [sys.executable, "-W", "error::ResourceWarning", "-m"]
_READ_AT_IMPORT = {"OPENAI_LOG"}
"""Variables that libraries read while they are imported."""
_fork_servers: list[ForkServer] = []


@contextmanager
def forking() -> Iterator[None]:
    """Programs that are started meanwhile are forked: on Linux, where the system's own libraries allow it."""
    if sys.platform != "linux":
        yield
        return
    server = ForkServer([*_PYTHON, "tests.support.fork_server"], cwd=PROJECT, env=_environment({}))
    _fork_servers.append(server)
    try:
        yield
    finally:
        _fork_servers.remove(server)
        server.close()


def started(
    arguments: list[str], *, cwd: Path, env: Mapping[str, str], output: int, group: bool, fresh: bool
) -> subprocess.Popen[bytes] | ForkedProcess:
    """`python -m` with these arguments, in a folder in which no developer has a `.env`.

    `output` is a descriptor, `group` gives the program a process group, and `fresh` never forks.
    """
    whole = _environment(env)
    if _fork_servers and not fresh and not _READ_AT_IMPORT & env.keys():
        return _fork_servers[-1].start(arguments, cwd=cwd, env=whole, output=output, group=group)
    with interruptible():
        return subprocess.Popen(
            [*_PYTHON, *arguments],
            cwd=cwd,
            env=whole,
            stdout=output,
            stderr=output,
            process_group=0 if group else None,
        )


def _environment(env: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "TMPDIR", "LANG")}
    return inherited | {"PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1", "METRICS_PORT": "0"} | dict(env)


@contextmanager
def interruptible() -> Iterator[None]:
    """Processes started meanwhile can be interrupted. For the main thread.

    A shell that is not interactive starts background processes with SIGINT ignored; they and their children inherit
    that, and Python then leaves it so. A signal that is handled is not inherited.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if before is signal.SIG_IGN:
            signal.signal(signal.SIGINT, before)

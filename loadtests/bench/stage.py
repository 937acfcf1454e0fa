"""What stands around the contenders: PostgreSQL, the upstream, a receiver of spans, all on the cores of the ends."""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import psutil

from app.core.config import Settings
from app.db.migrate import upgrade
from loadtests.bench.machine import Cores, children_on
from tests.support import postgres as postgres_server
from tests.support.processes import program

_FILES = 16_384


@dataclass(frozen=True, kw_only=True)
class Stage:
    """`problems` are sentences: what makes the figures worthless. `say` tells a person how far it is."""

    folder: Path
    cores: Cores
    http: httpx2.Client
    database_url: str
    upstream_url: str
    upstream: psutil.Process
    receiver_url: str
    say: Callable[[str], None]
    problems: list[str] = field(default_factory=list)

    def spans(self) -> dict[str, int]:
        """Those that have come, by name."""
        counts: dict[str, int] = self.http.get(self.receiver_url).raise_for_status().json()
        return counts

    def scrape(self, *ports: int) -> None:
        """Once a second, from now on."""
        self.http.put(f"{self.receiver_url}/scrape", json=ports).raise_for_status()


@contextmanager
def stage(folder: Path, cores: Cores, say: Callable[[str], None]) -> Iterator[Stage]:
    """In a folder that other users can enter: PostgreSQL may run as one of them."""
    with (
        _many_files(),
        children_on(cores.ends, back_on=cores.ends),
        httpx2.Client(timeout=30, trust_env=False, headers={"connection": "close"}) as http,
        postgres_server.running(folder) as postgres,
        program(["loadtests.bench.upstream"], cwd=folder, show=_unseen) as upstream,
        program(["loadtests.bench.receiver"], cwd=folder, show=_unseen) as receiver,
    ):
        upgrade(Settings(_env_file=None, database_url=postgres.url()))
        yield Stage(
            folder=folder,
            cores=cores,
            http=http,
            database_url=postgres.url(),
            upstream_url=upstream.url(),
            upstream=psutil.Process(upstream.pid),
            receiver_url=receiver.url(),
            say=say,
        )


def _unseen(_: str) -> None:
    """What a program of ours prints is its address."""


@contextmanager
def _many_files() -> Iterator[None]:
    """A socket for every stream, here and in what is started from here."""
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before, allowed), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))

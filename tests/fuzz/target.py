"""The service under test: a process of its own on SQLite, with a simulated provider."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.support.processes import Program, program

_LIMITS = {"HEADER_TIMEOUT_S": "0.5", "BODY_TIMEOUT_S": "0.5", "MAX_BODY_BYTES": "100000", "CHAT_TIMEOUT_S": "8"}


@dataclass(frozen=True)
class Target:
    """A running service."""

    url: str
    program: Program

    @property
    def rss_mb(self) -> float:
        """Resident memory."""
        return self._memory_mb("VmRSS")

    @property
    def peak_mb(self) -> float:
        """The maximum of resident memory since `reset_peak`."""
        return self._memory_mb("VmHWM")

    def reset_peak(self) -> None:
        Path(f"/proc/{self.program.pid}/clear_refs").write_text("5", encoding="ascii")

    @property
    def errors(self) -> list[str]:
        """Log lines with an exception or of level `error`."""
        return [line for line in self.program.lines if "Traceback" in line or '"level":"error"' in line]

    def _memory_mb(self, name: str) -> float:
        status = Path(f"/proc/{self.program.pid}/status").read_text(encoding="ascii")
        return int(status.partition(f"{name}:")[2].split()[0]) / 1024


@contextmanager
def service(folder: Path, *, fault: Mapping[str, Any], settings: Mapping[str, str]) -> Iterator[Target]:
    """Every answer of the provider has this fault."""
    with program(["app.simulator", "--port", "0"], cwd=folder, show=lambda _: None) as simulator:
        root = simulator.url().removesuffix("/openai/v1")
        httpx2.put(f"{root}/faults", json={"faults": [dict(fault)]}, trust_env=False).raise_for_status()
        env = {
            "PORT": "0",
            "GROQ_API_KEY": "any",
            "GROQ_BASE_URL": simulator.url(),
            "DATABASE_URL": f"sqlite+aiosqlite:///{folder}/chats.db",
        }
        with program(["app"], cwd=folder, env={**env, **settings}, show=lambda _: None) as running:
            yield Target(running.url(), running)


@contextmanager
def strict_service(folder: Path) -> Iterator[Target]:
    """With short limits for requests, and short answers."""
    with service(folder, fault={"words": 2}, settings=_LIMITS) as target:
        yield target

"""The service under fire: in a process of its own, on SQLite, with a simulated Groq whose answers are short."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.support.processes import Program, program

_LIMITS = {"HEADER_TIMEOUT_S": "0.5", "BODY_TIMEOUT_S": "0.5", "MAX_BODY_BYTES": "100000", "CHAT_TIMEOUT_S": "8"}


@dataclass(frozen=True)
class Target:
    """`url` is the service's."""

    url: str
    program: Program

    @property
    def rss_mb(self) -> float:
        """What the service holds in memory."""
        status = Path(f"/proc/{self.program.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    @property
    def bugs(self) -> list[str]:
        """Lines of the log that tell of an exception which nobody expected."""
        return [line for line in self.program.lines if "Traceback" in line or '"level":"error"' in line]


@contextmanager
def under_fire(folder: Path) -> Iterator[Target]:
    """Starts everything that it needs, and stops it."""
    with program(["app.simulator", "--port", "0"], cwd=folder, show=lambda _: None) as simulator:
        root = simulator.url().removesuffix("/openai/v1")
        httpx2.put(f"{root}/faults", json={"faults": [{"words": 2}]}, trust_env=False).raise_for_status()
        env = {
            "PORT": "0",
            "GROQ_API_KEY": "any",
            "GROQ_BASE_URL": simulator.url(),
            "DATABASE_URL": f"sqlite+aiosqlite:///{folder}/chats.db",
        }
        with program(["app"], cwd=folder, env=env | _LIMITS, show=lambda _: None) as service:
            yield Target(service.url(), service)

"""One caller that takes as much work and memory as it can get, and what another caller notices of it."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from tests.support.processes import Program, program
from tests.support.service import HELLO, PATH

SECONDS = 5
"""For each attack."""
_GREEDY, _OTHER = "key-of-the-greedy", "key-of-the-other"
_BODY_BYTES = 4 * 2**20  # MAX_BODY_BYTES, as it is by default
_STALLED = 150
_AT_ONCE = 6
_ANSWER_TIMEOUT_S = 60
_PAUSE_S = 0.005
_MAX_MB = 400
_MAX_P99_S = 0.1
_HEAD = f"{'beside one who sends':<24}{'chats':>8}{'failed':>8}{'p50 ms':>9}{'p99 ms':>9}{'worst':>9}{'peak MB':>9}"


def _many(head: bytes, item: bytes, tail: bytes) -> bytes:
    """As many of them as fit."""
    count = (_BODY_BYTES - len(head) - len(tail)) // (len(item) + 1)
    return head + b",".join([item] * count) + tail


_CONTENT = b'{"messages":[{"role":"user","content":'
BODIES = {
    "nested lists": _many(_CONTENT + b'"Hi"}],"search_settings":[', b"[" * 50 + b"]" * 50, b"]}"),
    "empty objects": _many(_CONTENT + b'"Hi"}],"search_settings":[', b"{}", b"]}"),
    "empty parts": _many(_CONTENT + b"[", b"{}", b"]}]}"),
    "text": _CONTENT + b'"' + b"[{, " * (_BODY_BYTES // 4 - 100) + b'"}]}',
}
"""Many values in few bytes, which are refused, and one value in many bytes, which is a chat like any other."""


@dataclass(frozen=True)
class Beside:
    """What the other caller noticed of an attack, and the most memory that the worker held meanwhile."""

    attack: str
    times_s: list[float]
    failed: int
    peak_mb: float

    @property
    def p99_s(self) -> float:
        return self.times_s[len(self.times_s) * 99 // 100]

    @property
    def row(self) -> str:
        times = (self.times_s[len(self.times_s) // 2], self.p99_s, self.times_s[-1])
        shown = "".join(f"{each * 1000:>9.1f}" for each in times)
        return f"{self.attack:<24}{len(self.times_s):>8}{self.failed:>8}{shown}{self.peak_mb:>9.0f}"


def table(told: list[Beside]) -> str:
    return "\n".join([_HEAD, *(each.row for each in told)])


def is_held(told: list[Beside], *, max_p99_s: float = _MAX_P99_S) -> bool:
    """Whether the other caller was served beside every attack, in time beside all but texts, and the worker stayed
    small.

    Texts are chats: their rows, of 8 MiB each, are committed together with the other caller's, and their time is the
    database's. The time that the other caller needs without an attack is the machine's.
    """
    quiet, *attacks = told
    limit_s = max_p99_s + quiet.p99_s
    in_time = all(each.p99_s < limit_s for each in attacks if not each.attack.startswith("text"))
    return in_time and all(not each.failed and each.peak_mb < _MAX_MB for each in attacks)


@dataclass(frozen=True)
class Worker:
    """The service with its own limits, and two keys."""

    url: str
    program: Program

    @property
    def peak_mb(self) -> float:
        """Of its resident memory, since `forget_peak`."""
        status = Path(f"/proc/{self.program.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    def forget_peak(self) -> None:
        Path(f"/proc/{self.program.pid}/clear_refs").write_text("5", encoding="ascii")


@contextmanager
def worker(folder: Path) -> Iterator[Worker]:
    """Starts it, with a simulated Groq that refuses at once: what takes time is the worker."""
    with program(["app.simulator", "--port", "0"], cwd=folder, show=lambda _: None) as simulator:
        root = simulator.url().removesuffix("/openai/v1")
        httpx2.put(f"{root}/faults", json={"faults": [{"status": 413}]}, trust_env=False).raise_for_status()
        env = {
            "PORT": "0",
            "GROQ_API_KEY": "any",
            "GROQ_BASE_URL": simulator.url(),
            "API_KEYS": f"greedy:{_GREEDY},other:{_OTHER}",
            "DATABASE_URL": f"sqlite+aiosqlite:///{folder}/chats.db",
        }
        with program(["app"], cwd=folder, env=env, show=lambda _: None) as service:
            yield Worker(service.url(), service)


def run(target: Worker, *, seconds: float = SECONDS, only: str = "") -> list[Beside]:
    """Each attack with these words in its name for so long, and none before them."""
    attacks: dict[str, Callable[[threading.Event], None]] = {"nothing": lambda _: None}
    for name, body in BODIES.items():
        attacks[f"{name}, one by one"] = partial(_ask, target, body)
        attacks[f"{name}, {_AT_ONCE} at once"] = partial(_ask_at_once, target, body)
    attacks[f"{_STALLED} uploads that stall"] = partial(_stall, target)
    _beside(target, "warm-up", attacks["text, one by one"], seconds)
    return [_beside(target, name, attacks[name], seconds) for name in attacks if only in name or name == "nothing"]


def _beside(target: Worker, name: str, attack: Callable[[threading.Event], None], seconds: float) -> Beside:
    over = threading.Event()
    target.forget_peak()
    attacker = threading.Thread(target=attack, args=(over,))
    attacker.start()
    times_s, failed = _chat(target, seconds)
    over.set()
    attacker.join()
    return Beside(name, sorted(times_s), failed, target.peak_mb)


def _chat(target: Worker, seconds: float) -> tuple[list[float], int]:
    """One small chat after the other, on one connection."""
    times, failed = [], 0
    headers = {"authorization": f"Bearer {_OTHER}", "content-type": "application/json"}
    address = urlsplit(target.url)
    client = HTTPConnection(address.hostname or "", address.port, timeout=_ANSWER_TIMEOUT_S)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        start = time.monotonic()
        client.request("POST", PATH, json.dumps(HELLO), headers)
        answer = client.getresponse()
        is_groqs = answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and b'"tokens"' in answer.read()
        times.append(time.monotonic() - start)
        failed += not is_groqs
        time.sleep(_PAUSE_S)
    client.close()
    return times, failed


def _ask(target: Worker, body: bytes, over: threading.Event) -> None:
    while not over.is_set():
        with suppress(OSError), _upload(target, body, len(body)) as client:
            while client.recv(65536):
                pass


def _ask_at_once(target: Worker, body: bytes, over: threading.Event) -> None:
    clients = [threading.Thread(target=_ask, args=(target, body, over)) for _ in range(_AT_ONCE)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()


def _stall(target: Worker, over: threading.Event) -> None:
    """Each lacks its last byte."""
    body, clients = BODIES["text"], []
    for _ in range(_STALLED):
        with suppress(OSError):
            clients.append(_upload(target, body[:-1], len(body)))
    over.wait()
    for client in clients:
        client.close()


def _upload(target: Worker, sent: bytes, announced: int) -> socket.socket:
    head = (
        f"POST {PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {_GREEDY}\r\ncontent-type: application/json\r\n"
        f"connection: close\r\ncontent-length: {announced}\r\n\r\n"
    )
    address = urlsplit(target.url)
    client = socket.create_connection((address.hostname, address.port), timeout=_ANSWER_TIMEOUT_S)
    try:
        client.sendall(head.encode())
        client.sendall(sent)
    except BaseException:
        client.close()
        raise
    return client

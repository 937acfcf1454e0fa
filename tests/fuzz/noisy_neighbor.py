"""A client that takes as much work and memory as it can get, and the latency of another client meanwhile."""

import json
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from tests.fuzz.target import Target, service
from tests.support.raw import CHAT, CLOSE, connect
from tests.support.service import HELLO, PATH

SECONDS = 5
"""For each attack."""
_ATTACKER, _CLIENT = "key-of-the-attacker", "key-of-the-client"
_MAX_BODY_BYTES = 4 * 2**20  # the default of MAX_BODY_BYTES
_STALLED = 150
_CONCURRENT = 6
_TIMEOUT_S = 60
_PAUSE_S = 0.005
_MAX_PEAK_MB = 400
_MAX_P99_S = 0.1
_HEAD = f"{'attack':<26}{'chats':>8}{'failed':>8}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'peak MB':>9}"
_BASELINE = "none"


def _repeat(head: bytes, item: bytes, tail: bytes) -> bytes:
    """As many items as the largest body can have."""
    count = (_MAX_BODY_BYTES - len(head) - len(tail)) // (len(item) + 1)
    return head + b",".join([item] * count) + tail


_CONTENT = b'{"messages":[{"role":"user","content":'
BODIES = {
    "nested lists": _repeat(_CONTENT + b'"Hi"}],"search_settings":[', b"[" * 50 + b"]" * 50, b"]}"),
    "empty objects": _repeat(_CONTENT + b'"Hi"}],"search_settings":[', b"{}", b"]}"),
    "empty parts": _repeat(_CONTENT + b"[", b"{}", b"]}]}"),
    "long numbers": _repeat(_CONTENT + b'"Hi"}],"search_settings":[', b"1" * 199, b",1e999]}"),
    "text": _CONTENT + b'"' + b"[{, " * (_MAX_BODY_BYTES // 4 - 100) + b'"}]}',
}
"""Many JSON values in few bytes, and long numbers, which are refused; and one long string, which is a valid chat."""


@dataclass(frozen=True)
class Impact:
    """The latencies of the other client during an attack, sorted, and the peak of the worker's memory."""

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
        return f"{self.attack:<26}{len(self.times_s):>8}{self.failed:>8}{shown}{self.peak_mb:>9.0f}"


def table(impacts: list[Impact]) -> str:
    return "\n".join([_HEAD, *(each.row for each in impacts)])


def is_contained(impacts: list[Impact], *, max_p99_s: float = _MAX_P99_S) -> bool:
    """Whether no chat of the other client failed, and latency and memory stayed within their limits.

    The latency without an attack is added to its limit. Texts have no limit of latency: they are chats whose rows, of
    8 MiB each, are committed together with those of the other client.
    """
    baseline, *attacks = impacts
    limit_s = max_p99_s + baseline.p99_s
    in_time = all(each.p99_s < limit_s for each in attacks if not each.attack.startswith("text"))
    return in_time and all(not each.failed and each.peak_mb < _MAX_PEAK_MB for each in attacks)


@contextmanager
def service_with_two_clients(folder: Path) -> Iterator[Target]:
    """The service with its default limits. The provider refuses each chat at once: the work is the service's."""
    keys = {"API_KEYS": f"attacker:{_ATTACKER},client:{_CLIENT}"}
    with service(folder, fault={"status": HTTPStatus.REQUEST_ENTITY_TOO_LARGE}, settings=keys) as target:
        yield target


def run(target: Target, *, seconds: float = SECONDS, only: Collection[str] = ()) -> list[Impact]:
    """The baseline, and each attack, or those that are named."""
    attacks: dict[str, Callable[[threading.Event], None]] = {_BASELINE: lambda _: None}
    for name, body in BODIES.items():
        attacks[f"{name}, one by one"] = partial(_send_repeatedly, target, body)
        attacks[f"{name}, {_CONCURRENT} at once"] = partial(_send_concurrently, target, body)
    attacks[f"{_STALLED} stalled uploads"] = partial(_stall, target)
    _measure(target, "warm-up", attacks["text, one by one"], seconds)
    names = [_BASELINE, *only] if only else attacks
    return [_measure(target, name, attacks[name], seconds) for name in names]


def _measure(target: Target, name: str, attack: Callable[[threading.Event], None], seconds: float) -> Impact:
    stop = threading.Event()
    target.reset_peak()
    attacker = threading.Thread(target=attack, args=(stop,))
    attacker.start()
    times_s, failed = _chat(target, seconds)
    stop.set()
    attacker.join()
    return Impact(name, sorted(times_s), failed, target.peak_mb)


def _chat(target: Target, seconds: float) -> tuple[list[float], int]:
    """Small chats one by one on one connection. A chat has failed unless its status is the provider's."""
    times, failed = [], 0
    headers = {"authorization": f"Bearer {_CLIENT}", "content-type": "application/json"}
    address = urlsplit(target.url)
    client = HTTPConnection(address.hostname or "", address.port, timeout=_TIMEOUT_S)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        start = time.monotonic()
        client.request("POST", PATH, json.dumps(HELLO), headers)
        response = client.getresponse()
        body = response.read()
        times.append(time.monotonic() - start)
        failed += response.status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE or b'"tokens"' not in body
        time.sleep(_PAUSE_S)
    client.close()
    return times, failed


def _send_repeatedly(target: Target, body: bytes, stop: threading.Event) -> None:
    while not stop.is_set():
        with suppress(OSError), _upload(target, body, len(body)) as client:
            while client.recv(65536):
                pass


def _send_concurrently(target: Target, body: bytes, stop: threading.Event) -> None:
    clients = [threading.Thread(target=_send_repeatedly, args=(target, body, stop)) for _ in range(_CONCURRENT)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()


def _stall(target: Target, stop: threading.Event) -> None:
    """Each upload lacks its last byte."""
    body = BODIES["text"]
    with ExitStack() as clients:
        for _ in range(_STALLED):
            with suppress(OSError):
                clients.enter_context(_upload(target, body[:-1], len(body)))
        stop.wait()


def _upload(target: Target, sent: bytes, content_length: int) -> socket.socket:
    client = connect(target.url)
    key = b"authorization: Bearer %s\r\n" % _ATTACKER.encode()
    try:
        client.settimeout(_TIMEOUT_S)
        client.sendall(CHAT + CLOSE + key + b"content-length: %d\r\n\r\n" % content_length)
        client.sendall(sent)  # apart from the head: joining them would copy 4 MiB for each request
    except BaseException:
        client.close()
        raise
    return client

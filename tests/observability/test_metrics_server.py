"""The metrics port: it answers Prometheus, whatever others do there."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Self

import httpx2
import pytest
from prometheus_client import CollectorRegistry, Gauge

from app.core.config import Settings
from app.observability.metrics_server import MetricsServer
from tests.support.ports import free_port

BOUND = 5


class Scraped:
    """A server in a thread of its own, with a large answer."""

    def __init__(self, timeout_s: float) -> None:
        self.port = free_port()
        registry = CollectorRegistry()
        gauge = Gauge("wide", "More than the buffers of a connection hold.", ["number"], registry=registry)
        for number in range(6_000):
            gauge.labels(f"{number:01000}").set(number)
        settings = Settings(
            _env_file=None,
            metrics_port=self.port,
            metrics_max_connections=BOUND,
            metrics_timeout_s=timeout_s,
        )
        self._server = MetricsServer(registry, settings)
        self._over = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._run(),))

    async def _run(self) -> None:
        async with self._server.running():
            self._ready.set()
            while not self._over.is_set():
                await asyncio.sleep(0.01)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def connect(self) -> socket.socket:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(20)
        client.connect(("127.0.0.1", self.port))
        return client


@pytest.fixture
def scraped(request: pytest.FixtureRequest) -> Iterator[Scraped]:
    with Scraped(getattr(request, "param", 60)) as running:
        yield running


def closed(client: socket.socket) -> bool:
    """Waits until the other side has closed it."""
    try:
        while client.recv(65536):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


def wait_for_threads(most: int) -> None:
    deadline = time.monotonic() + 20
    while threading.active_count() > most:
        assert time.monotonic() < deadline, f"{threading.active_count()} threads instead of {most}"
        time.sleep(0.02)


async def test_worker_whose_port_is_taken_runs_without_metrics(lines: list[Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = MetricsServer(CollectorRegistry(), Settings(_env_file=None, metrics_port=port - 1, worker_slot=1))
        async with server.running():
            pass
    (line,) = lines
    assert (line["event"], line["log_level"], line["port"]) == ("metrics_server.failed", "error", port)


def test_idle_connections_are_bounded_and_do_not_block_prometheus(scraped: Scraped, http: httpx2.Client) -> None:
    before = threading.active_count()
    with ExitStack() as stack:
        clients = [stack.enter_context(scraped.connect()) for _ in range(40)]
        assert all(closed(client) for client in clients[: 40 - BOUND])
        wait_for_threads(before + BOUND)
        assert http.get(f"http://127.0.0.1:{scraped.port}/metrics").status_code == 200
    wait_for_threads(before)


@pytest.mark.parametrize("scraped", [1], indirect=True)
@pytest.mark.parametrize("what", ["nothing", "a byte now and then", "a request whose answer is not read"])
def test_client_occupies_no_thread_longer_than_the_limit(scraped: Scraped, what: str) -> None:
    before = threading.active_count()
    with scraped.connect() as client:
        if what == "a request whose answer is not read":
            client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        elif what == "a byte now and then":
            with pytest.raises(OSError, match=r"Broken pipe|reset"):  # noqa: PT012 - which of them is the last
                for _ in range(200):
                    client.sendall(b"G")
                    time.sleep(0.1)
        wait_for_threads(before + 1)
        wait_for_threads(before)
        assert closed(client)


def test_stop_does_not_wait_for_clients(scraped: Scraped) -> None:
    with scraped.connect() as client:
        scraped.stop()
        assert closed(client)
    with socket.socket() as another:
        assert another.connect_ex(("127.0.0.1", scraped.port)) != 0

"""The worker, looked into: what it holds while no chat runs."""

from dataclasses import asdict, dataclass

import psutil

from loadtests.endings.app import PATH
from tests.support.scrape import scrape, total
from tests.support.serving import Workers

_GAUGES = {
    "active streams": ("chat_active_streams", {}),
    "bytes of requests": ("chat_request_body_bytes", {}),
    "connections in use": ("db_pool_connections", {"state": "in_use"}),
    "spooled rows": ("chat_log_spooled_rows", {}),
}


@dataclass(frozen=True, kw_only=True)
class Look:
    """One look. `coroutines` and `generators` are the objects of these types, `chats` and `streams` the service's."""

    rss_mb: float
    fds: int
    sockets: int
    threads: int
    tasks: int
    coroutines: int
    generators: int
    chats: int
    streams: int

    def more_than(self, other: "Look", *names: str) -> list[str]:
        """What there is more of."""
        mine, theirs = asdict(self), asdict(other)
        return [f"{mine[name]} {name}, {theirs[name]} before" for name in names if mine[name] > theirs[name]]


class Worker:
    """gunicorn's only one."""

    def __init__(self, service: Workers) -> None:
        self._service = service
        self._port = service.metrics_base
        self._process = psutil.Process(service.pid(self._port))

    def look(self) -> Look:
        # Descriptors come before the question that takes one of them.
        with self._process.oneshot():
            memory, threads = self._process.memory_info(), self._process.num_threads()
        fds, sockets = self._process.num_fds(), len(self._process.net_connections("all"))
        response = self._service.http.get(self._service.url + PATH).raise_for_status()
        return Look(rss_mb=memory.rss / 1e6, fds=fds, sockets=sockets, threads=threads, **response.json())

    def gauges(self) -> dict[str, float]:
        """Those that are 0 while nothing happens."""
        samples = scrape(self._service.http, self._port)
        return {told: total(samples, name, **labels) for told, (name, labels) in _GAUGES.items()}

    def counted(self) -> dict[str, int]:
        """Requests by outcome, as the metrics have them."""
        counts: dict[str, int] = {}
        for sample in scrape(self._service.http, self._port):
            if sample.name == "chat_requests_total" and sample.value:
                outcome = sample.labels["outcome"]
                counts[outcome] = counts.get(outcome, 0) + int(sample.value)
        return counts

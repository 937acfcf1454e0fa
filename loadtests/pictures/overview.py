"""A few minutes of life, watched by Prometheus, and what the dashboard shows of them."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from loadtests.chaos.stage import stage
from loadtests.pictures.clients import live
from loadtests.pictures.source import PrometheusSource, Range
from tests.support.otlp import Collector, collecting
from tests.support.prometheus import SETTINGS, Prometheus, parse, prometheus
from tests.support.serving import Workers

_PATIENCE_S = 30
_LOOK_AGAIN_S = 0.2


@contextmanager
def lived(folder: Path, *, seconds: float, say: Callable[[str], object]) -> Iterator[PrometheusSource]:
    """Two workers on PostgreSQL, under load for so long; yields what Prometheus saw of it, with the real rules."""
    with stage(folder) as real, collecting() as collector, real.service(workers=2, env=_env(collector)) as workers:
        every = range(workers.metrics_base, workers.metrics_base + 2 * workers.count)
        log = (folder / "prometheus.shown").write_text
        with prometheus(folder, [f"127.0.0.1:{port}" for port in every], hurry=False, show=log) as watching:
            _wait_until_watched(watching, workers)
            say(f"{seconds:g} s of life ...")
            start, end = asyncio.run(live(workers.url, real.groq, seconds=seconds))
            scrape_s = int(parse(SETTINGS)["global"]["scrape_interval"].removesuffix("s"))
            yield PrometheusSource(watching.url, real.http, Range(start=start, end=end, scrape_s=scrape_s))


def _env(collector: Collector) -> dict[str, str]:
    """Only chats that are traced are dots on a curve."""
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "DRAIN_TIMEOUT_S": "1"}


def _wait_until_watched(watching: Prometheus, workers: Workers) -> None:
    """What is counted before the first look at a worker is in no rate."""
    deadline = time.monotonic() + _PATIENCE_S
    while len(watching.query("up == 1")) < workers.count:
        assert time.monotonic() < deadline, "Prometheus does not see the workers"
        time.sleep(_LOOK_AGAIN_S)

"""Scraped metrics as data."""

import time
from collections.abc import Iterable

import httpx2
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.support.waiting import wait_until

_RECORDED_AFTER_S = 0.15
OPENMETRICS = {"accept": "application/openmetrics-text; version=1.0.0"}


def scrape(http: httpx2.Client, *ports: int) -> list[Sample]:
    """All samples of these workers, once the chats that have just ended are recorded."""
    time.sleep(_RECORDED_AFTER_S)
    samples: list[Sample] = []
    for port in ports:
        text = http.get(f"http://127.0.0.1:{port}/metrics", headers=OPENMETRICS).raise_for_status().text
        families = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
        samples += [sample for family in families for sample in family.samples]
    return samples


def total(samples: Iterable[Sample], name: str, **labels: str) -> float:
    """The sum over all series with this name and these labels; fails if there is none."""
    found = [sample.value for sample in samples if sample.name == name and labels.items() <= sample.labels.items()]
    assert found, f"no {name}{labels}"
    return sum(found)


def answers(http: httpx2.Client, port: int) -> bool:
    """Whether a worker serves its metrics there."""
    try:
        return http.get(f"http://127.0.0.1:{port}/metrics").status_code == 200
    except httpx2.TransportError:
        return False


def wait_until_answering(http: httpx2.Client, *ports: int, seconds: float = 30) -> None:
    """Waits until each of these workers serves its metrics."""
    wait_until(lambda: all(answers(http, port) for port in ports), f"not all of {ports} answer", seconds)

"""Client address and scheme: headers of the proxies in FORWARDED_ALLOW_IPS are trusted, and no others."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.core.config import Settings
from tests.serving.conftest import StartWorkers
from tests.support.otlp import Collector
from tests.support.service import PATH, Service, SimulatedGroq, service_before

FORWARDED = {"x-forwarded-for": "192.0.2.9, 198.51.100.7", "x-forwarded-proto": "https"}
"""A client forged the first address, and a proxy appended the second."""


def address_and_scheme(service: Service, collector: Collector) -> tuple[str, str]:
    """As the service derives them: they are attributes of the request's span."""
    assert service.chat(headers=FORWARDED).done
    [span] = collector.wait_for(lambda span: span.name == f"POST {PATH}")
    return span.attributes["client.address"], span.attributes["url.scheme"]


@pytest.mark.parametrize(
    ("proxies", "expected"),
    [
        ("", ("127.0.0.1", "http")),
        ("10.0.0.0/8, ::1", ("127.0.0.1", "http")),
        ("127.0.0.0/8", ("198.51.100.7", "https")),
        ("127.0.0.1,198.51.100.7", ("192.0.2.9", "https")),
    ],
    ids=["none", "others", "the last proxy", "two proxies"],
)
def test_forwarded_headers_are_trusted_from_listed_proxies(
    groq: SimulatedGroq,
    collector: Collector,
    tmp_path: Path,
    proxies: str,
    expected: tuple[str, str],
) -> None:
    with service_before(groq, tmp_path, {"FORWARDED_ALLOW_IPS": proxies, **collector.env}) as service:
        assert address_and_scheme(service, collector) == expected


@pytest.mark.parametrize(
    ("proxies", "expected"), [({}, "127.0.0.1"), ({"FORWARDED_ALLOW_IPS": "127.0.0.1"}, "198.51.100.7")]
)
def test_workers_trust_the_same_proxies(
    start_workers: StartWorkers, collector: Collector, proxies: dict[str, str], expected: str
) -> None:
    """Gunicorn's default trusts loopback."""
    with start_workers({**collector.env, **proxies}, workers=1) as running:
        assert address_and_scheme(running, collector)[0] == expected


@pytest.mark.parametrize("proxies", ["*", "proxy", "10.0.0.1/8", "10.0.0.1 10.0.0.2"])
def test_value_that_is_not_an_address_is_refused(proxies: str) -> None:
    """Uvicorn ignores such a value silently, and trusts everyone with `*`."""
    with pytest.raises(ValidationError, match="use IP addresses or networks"):
        Settings(_env_file=None, forwarded_allow_ips=proxies)

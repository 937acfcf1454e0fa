"""Who calls, and whether by TLS: the proxies in FORWARDED_ALLOW_IPS are believed, and nobody else."""

from pathlib import Path

import httpx2
import pytest
from pydantic import ValidationError

from app.core.config import Settings
from tests.support.otlp import Collector
from tests.support.processes import program
from tests.support.service import PATH, Service, SimulatedGroq
from tests.support.serving import serving

CLAIM = {"x-forwarded-for": "192.0.2.9, 198.51.100.7", "x-forwarded-proto": "https"}
"""As of a caller that lies about the first address, and a proxy that adds the second."""


def caller_and_scheme(service: Service, collector: Collector) -> tuple[str, str]:
    """As the service takes them from what a caller claims: they are on the request's span."""
    assert service.chat(headers=CLAIM).done
    [span] = collector.wait_for(lambda span: span.name == f"POST {PATH}")
    return span.attributes["client.address"], span.attributes["url.scheme"]


@pytest.mark.parametrize(
    ("proxies", "believed"),
    [
        ("", ("127.0.0.1", "http")),
        ("10.0.0.0/8, ::1", ("127.0.0.1", "http")),
        ("127.0.0.0/8", ("198.51.100.7", "https")),
        ("127.0.0.1,198.51.100.7", ("192.0.2.9", "https")),
    ],
    ids=["nobody", "others", "the last one", "two in a row"],
)
def test_a_proxy_is_believed_if_it_is_named(
    groq: SimulatedGroq,
    http: httpx2.Client,
    collector: Collector,
    tmp_path: Path,
    proxies: str,
    believed: tuple[str, str],
) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/chats.db"
    env = {"DATABASE_URL": url, "GROQ_API_KEY": "test", "GROQ_BASE_URL": groq.url, "PORT": "0"}
    env |= {"FORWARDED_ALLOW_IPS": proxies, **collector.env}
    with program(["app"], cwd=tmp_path, env=env) as running:
        assert caller_and_scheme(Service(running.url(), running, url, http), collector) == believed


@pytest.mark.parametrize(
    ("proxies", "believed"), [({}, "127.0.0.1"), ({"FORWARDED_ALLOW_IPS": "127.0.0.1"}, "198.51.100.7")]
)
def test_workers_believe_the_same_ones(
    chats_database: str,
    groq: SimulatedGroq,
    http: httpx2.Client,
    collector: Collector,
    tmp_path: Path,
    proxies: dict[str, str],
    believed: str,
) -> None:
    """By itself gunicorn would believe whoever comes from loopback."""
    env = {"GROQ_API_KEY": "test", "GROQ_BASE_URL": groq.url, **collector.env, **proxies}
    with serving(tmp_path, http, env, database_url=chats_database, workers=1) as running:
        assert caller_and_scheme(running, collector)[0] == believed


@pytest.mark.parametrize("proxies", ["*", "proxy", "10.0.0.1/8", "10.0.0.1 10.0.0.2"])
def test_what_is_no_address_is_one_sentence(proxies: str) -> None:
    """By itself, uvicorn would believe nobody, and say nothing; or, with *, everybody."""
    with pytest.raises(ValidationError, match="use IP addresses or networks"):
        Settings(_env_file=None, forwarded_allow_ips=proxies)

"""The banner has working URLs."""

import re
import socket
from pathlib import Path

import httpx2
import pytest

from app.commands.banner import banner
from app.core.config import Settings
from tests.commands.client import FREE_PORT
from tests.support.ports import free_port
from tests.support.processes import program


def urls(host: str) -> list[str]:
    settings = Settings(_env_file=None, host=host, metrics_host=host, metrics_port=9464)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        text, port = banner(settings, listener), listener.getsockname()[1]
    found = re.findall(r"http://\S+", text)
    assert len(found) == 4
    return [url.replace(str(port), "8000") for url in found]


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("::", "[::1]"),
        ("::1", "[::1]"),
        ("fd00::5", "[fd00::5]"),
        ("localhost", "localhost"),
    ],
)
def test_banner_shows_addresses_as_urls(host: str, shown: str) -> None:
    page, chat, metrics, docs = urls(host)
    assert (page, chat) == (f"http://{shown}:8000", f"http://{shown}:8000/api/v1/chat/stream")
    assert (metrics, docs) == (f"http://{shown}:9464/metrics", f"http://{shown}:8000/docs")


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_metrics_url_of_the_banner_works_on_all_addresses(tmp_path: Path, http: httpx2.Client) -> None:
    env = {**FREE_PORT, "METRICS_HOST": "::", "METRICS_PORT": str(free_port())}
    with program(["app"], cwd=tmp_path, env=env) as running:
        running.url()
        assert running.wait_for("/metrics")
        found = re.search(r"http://\S+/metrics", running.output)
        assert found
        assert "chat_requests_total" in http.get(found[0]).text

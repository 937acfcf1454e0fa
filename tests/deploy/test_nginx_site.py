"""deploy/nginx/site.conf has the limits and timeouts of the service's settings."""

import re
import runpy
from pathlib import Path

import pytest

from app.core.config import Settings
from tests.deploy.nginx import SITE
from tests.support.processes import PROJECT


def test_limits_and_timeouts_match_the_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    directives = dict(re.findall(r"^ *([a-z_]+) +(\d+)s?;", SITE.read_text(), re.MULTILINE))
    settings = Settings(_env_file=None)
    assert (
        int(directives["client_max_body_size"]) == settings.max_body_bytes < int(directives["client_body_buffer_size"])
    )
    assert int(directives["client_header_timeout"]) == settings.header_timeout_s
    assert int(directives["client_body_timeout"]) == settings.body_timeout_s
    assert int(re.findall(r"sndbuf=(\d+)k", SITE.read_text())[0]) * 1024 == settings.client_buffer_bytes
    assert int(directives["proxy_read_timeout"]) > settings.chat_timeout_s
    monkeypatch.chdir(tmp_path)  # without a developer's .env
    monkeypatch.setenv("GROQ_API_KEY", "any")
    gunicorn = runpy.run_path(str(PROJECT / "deploy" / "gunicorn.conf.py"))
    assert int(directives["keepalive_timeout"]) < gunicorn["keepalive"]

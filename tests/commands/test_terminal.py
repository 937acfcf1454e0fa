"""`python -m app` on a terminal."""

import itertools
import re
import shlex
from pathlib import Path

import httpx2
import pytest

from tests.commands.client import FREE_PORT, chat
from tests.support.processes import program
from tests.support.service import PATH
from tests.support.terminal import on_terminal

SECRET = "a secret's key"


def header_of(banner: str) -> dict[str, str]:
    """The headers of the banner's command."""
    command = shlex.split(banner[banner.index("curl -N") :].partition("\n\n")[0].replace("\\\n", " "))
    headers = [value for flag, value in itertools.pairwise(command) if flag == "-H"]
    return dict(header.split(": ", 1) for header in headers)


def test_command_of_the_banner_has_a_key_that_works(tmp_path: Path, http: httpx2.Client) -> None:
    keys = {"API_KEYS": f"first:sha256:{'0' * 64},second:{SECRET}"}
    with on_terminal(["app"], cwd=tmp_path, env=FREE_PORT | keys) as terminal:
        terminal.wait_for("Stop:")
        headers = header_of(terminal.text)
        assert headers["authorization"] == f"Bearer {SECRET}"
        url = terminal.wait_for("curl -N").split()[2].removesuffix(PATH)
        body = {"messages": [{"role": "user", "content": "Hello"}]}
        assert http.post(url + PATH, headers=headers, json=body).text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("keys", [f"me:{SECRET}", f"me:sha256:{'0' * 64}"], ids=["in a log", "digest"])
def test_banner_has_a_placeholder_for_a_key_that_it_does_not_show(tmp_path: Path, keys: str) -> None:
    with program(["app"], cwd=tmp_path, env=FREE_PORT | {"API_KEYS": keys}) as running:
        assert running.wait_for("Stop:")
        assert header_of(running.output)["authorization"] == "Bearer <key>"
        assert SECRET not in running.output


def test_chat_is_one_short_line(tmp_path: Path, http: httpx2.Client) -> None:
    with on_terminal(["app"], cwd=tmp_path, env=FREE_PORT) as terminal:
        url = terminal.wait_for("curl -N").split()[2].removesuffix(PATH)
        reply = chat(http, url)
        line = terminal.wait_for("chat.finished")
    names = re.findall(r" (\w+)=", line)
    assert names == ["outcome", "model_name", "completion_tokens", "ttft_ms", "duration_ms", "cost_usd", "request_id"]
    assert reply.id in line
    assert len(line) < 200

"""`python -m app` with default settings, and what keeps it from serving."""

import json
import re
import socket
from pathlib import Path

import httpx2
import pytest

from app.commands.run import run as serve
from app.core.config import Settings
from tests.commands.client import FREE_PORT, chat
from tests.commands.conftest import RunInProcess
from tests.support.processes import program, run
from tests.support.service import PATH


def test_unconfigured_service_streams_a_chat_and_shows_its_row(tmp_path: Path, http: httpx2.Client) -> None:
    with program(["app"], cwd=tmp_path, env=FREE_PORT, fresh=True) as running:
        url = running.url()
        assert "a simulator stands in for Groq" in running.output
        assert "GROQ_API_KEY" in running.output
        reply = chat(http, url, "Is anybody there?")
        assert reply.done
        code, output = run(["app", "chats", "--json", "--limit", "1"], cwd=tmp_path, fresh=True)
        assert code == 0
        row = json.loads(output)
        assert (row["id"], row["response"], row["prompt"]) == (reply.id, reply.text, "Is anybody there?")
        code, table = run(["app", "chats"], cwd=tmp_path, fresh=True)
        assert code == 0
        assert reply.id in table
        assert "Is anybody there?" in table
        assert running.stop() == 0
    assert "Traceback" not in running.output


def test_commands_of_the_banner_work(tmp_path: Path, http: httpx2.Client) -> None:
    with program(["app"], cwd=tmp_path, env=FREE_PORT) as running:
        url = running.url()
        found = re.search(r"-d '(.*)'", running.output)
        assert found
        response = http.post(url + PATH, content=found[1], headers={"content-type": "application/json"})
        assert response.text.endswith("data: [DONE]\n\n")
        assert http.get(f"{url}/docs").status_code == 200


def test_simulator_is_slow_enough_to_be_watched_and_the_page_states_its_speed(
    tmp_path: Path, http: httpx2.Client
) -> None:
    with program(["app"], cwd=tmp_path, env=FREE_PORT) as running:
        url = running.url()
        assert http.get(f"{url}/page/about").json()["tokens_per_s"] == 100
        reply = chat(http, url, "Why is the sky blue?")
        _, output = run(["app", "chats", "--json", "--limit", "1"], cwd=tmp_path)
        row = json.loads(output)
        assert row["id"] == reply.id
        assert row["completion_tokens"] > 200
        assert row["duration_ms"] > 1000


def test_chats_survive_a_restart(tmp_path: Path, http: httpx2.Client) -> None:
    ids = set()
    for _ in range(2):
        with program(["app"], cwd=tmp_path, env=FREE_PORT) as running:
            ids.add(chat(http, running.url()).id)
    _, output = run(["app", "chats", "--json"], cwd=tmp_path)
    assert {json.loads(line)["id"] for line in output.splitlines()} == ids


def test_simulator_is_reached_without_the_proxy_of_the_environment(tmp_path: Path, http: httpx2.Client) -> None:
    env = {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", **FREE_PORT}
    with program(["app"], cwd=tmp_path, env=env) as running:
        assert chat(http, running.url()).done


def test_metrics_port_in_use_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert serve(Settings(_env_file=None, port=0, metrics_port=port), reload=False) == 1
    assert capsys.readouterr().err == (
        f"cannot listen on 127.0.0.1:{port} (Address already in use): set METRICS_PORT to a free port, "
        f"for example METRICS_PORT={port + 1}, or METRICS_HOST to an address of this machine\n"
    )


def test_env_file_in_another_encoding_is_one_sentence(
    run_in_process: RunInProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SETTINGS_ENV_FILE_READ")
    (tmp_path / ".env").write_text("GROQ_API_KEY=clé", encoding="latin-1")
    assert run_in_process("chats") == (2, ".env is not a text file in UTF-8\n")

"""`python -m app.simulator`."""

import socket
from pathlib import Path

import httpx2
import pytest

from app.simulator.__main__ import main
from tests.simulator.test_wire import post
from tests.support.processes import program
from tests.support.service import SimulatedGroq


def test_options_that_cannot_be_used_are_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["simulator", "--tokens-per-s", "nan"])
    with pytest.raises(SystemExit):
        main()
    assert "--tokens-per-s must be greater than 0" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["simulator", "--port", "70000"])
    with pytest.raises(SystemExit):
        main()
    assert "--port must be from 0 to 65535" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr("sys.argv", ["simulator", "--port", str(port)])
        assert main() == 1
    sentence = f"port {port} cannot be used (Address already in use): choose another with --port\n"
    assert capsys.readouterr().err == sentence


def test_the_limits_and_the_speed_of_all_models_can_be_set(tmp_path: Path, http: httpx2.Client) -> None:
    options = ["--port", "0", "--free-tier", "--tokens-per-s", "500"]
    with program(["app.simulator", *options], cwd=tmp_path) as running:
        groq = SimulatedGroq(running.url(), http)
        for model in ("openai/gpt-oss-20b", "openai/gpt-oss-120b"):
            response = post(groq, model=model)
            assert response.headers["x-ratelimit-limit-tokens"] == "8000"
            usage = response.json()["usage"]
            assert usage["completion_time"] == pytest.approx(usage["completion_tokens"] / 500)
        assert running.stop() == 0

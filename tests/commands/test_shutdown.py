"""Shutdown of `python -m app`: after the running chats, after the drain timeout, or at the second signal."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from app.commands.migrate import upgrade
from app.core.config import Settings
from tests.commands.client import FREE_PORT, chat
from tests.support.ports import free_port, listens
from tests.support.processes import Program, program, run
from tests.support.service import PATH
from tests.support.waiting import wait_until


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_shutdown_waits_for_the_running_chat(tmp_path: Path, http: httpx2.Client, how: signal.Signals) -> None:
    with program(["app"], cwd=tmp_path, env=FREE_PORT, fresh=True) as running:
        url = running.url()
        with http.stream("POST", url + PATH, json={"messages": [{"role": "user", "content": "Hello"}]}) as response:
            pieces = response.iter_raw()
            body = next(pieces)
            running.signal(how)
            body += b"".join(pieces)
        assert body.endswith(b"data: [DONE]\n\n")
        assert running.wait() == 0
    assert "Traceback" not in running.output


def test_sigterm_before_the_server_runs_is_not_lost(tmp_path: Path) -> None:
    """The reloader of `make run RELOAD=1` sends it whenever a file changes, and waits for the end of the process."""
    with program(["tests.commands.early_sigterm"], cwd=tmp_path, env=FREE_PORT, stop_with=signal.SIGKILL) as running:
        assert running.wait() == 0


@pytest.mark.parametrize("module", ["app.core.config", "app.main", "alembic.command"])
def test_sigint_during_the_start_prints_nothing(tmp_path: Path, module: str) -> None:
    """While a part is imported: before the settings, before the service, and by the migration."""
    env = {"INTERRUPT_AT": module, **FREE_PORT}
    code, output = run(["tests.commands.early_sigint"], cwd=tmp_path, env=env, fresh=True)
    assert (code, output) == (130, "")


@contextmanager
def slow_chat(folder: Path, http: httpx2.Client, **env: str) -> Iterator[Program]:
    """A service that answers a chat, for a minute. At the end it has stopped, and the chat has its row."""
    with program(["app.simulator", "--port", "0", "--tokens-per-s", "1"], cwd=folder) as groq:
        with program(["app"], cwd=folder, env={"GROQ_SIMULATOR_URL": groq.url(), **FREE_PORT, **env}) as running:
            body = {"messages": [{"role": "user", "content": "Hello"}]}
            with http.stream("POST", running.url() + PATH, json=body) as response:
                pieces = response.iter_raw()  # a reference: a collected iterator closes the connection
                next(pieces)
                yield running
        assert "Traceback" not in running.output
    _, output = run(["app", "chats", "--json"], cwd=folder)
    assert [json.loads(line)["id"] for line in output.splitlines()] == [response.headers["x-request-id"]]


def test_stream_beyond_the_drain_timeout_has_its_row(tmp_path: Path, http: httpx2.Client) -> None:
    """The row is stored before the database is closed."""
    with slow_chat(tmp_path, http, DRAIN_TIMEOUT_S="1") as running:
        running.signal(signal.SIGINT)
        assert running.wait() == 0


def test_second_sigint_ends_streams_and_stores_their_rows(tmp_path: Path, http: httpx2.Client) -> None:
    with slow_chat(tmp_path, http) as running:
        port = int(running.url().rpartition(":")[2])
        running.signal(signal.SIGINT)
        wait_until(lambda: not listens(port), "the service still listens")
        started = time.monotonic()
        running.signal(signal.SIGINT)
        assert running.wait() in (0, 130, -signal.SIGINT)
        assert time.monotonic() - started < 15  # the answer would take a minute, and the grace period 25 s


def test_uvicorn_alone_writes_the_last_log_line(tmp_path: Path, http: httpx2.Client) -> None:
    """Uvicorn re-raises the signal that stopped it, so that exit handlers of Python do not run."""
    port, url = free_port(), f"sqlite+aiosqlite:///{tmp_path}/chats.db"
    upgrade(Settings(_env_file=None, database_url=url))
    with program(["app.simulator", "--port", "0"], cwd=tmp_path) as groq:
        env = {"GROQ_SIMULATOR_URL": groq.url(), "DATABASE_URL": url, "LOG_FLUSH_TIMEOUT_S": "30"}
        command = ["uvicorn", "app.main:create_app", "--factory", "--port", str(port)]
        with program(command, cwd=tmp_path, env=env, stop_with=signal.SIGTERM, stalled=True) as running:
            wait_until(lambda: listens(port), "uvicorn does not listen")
            reply = chat(http, f"http://127.0.0.1:{port}")
            running.signal(signal.SIGTERM)
            wait_until(lambda: not listens(port), "uvicorn still listens")
            time.sleep(1)  # the process has nothing left to do but to write the line
            running.read_on()
            assert running.wait() == -signal.SIGTERM
            assert [line for line in running.lines if reply.id in line]

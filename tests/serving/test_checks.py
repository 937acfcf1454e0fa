"""Checks before gunicorn forks its workers: each failure is one sentence."""

from pathlib import Path

import pytest

from app.core.config import Settings
from app.serving.checks import check_ports
from tests.support.ports import free_port, free_ports
from tests.support.processes import PROJECT, program, run

PRODUCTION = {"APP_ENV": "production", "API_KEYS": "me:secret", "GROQ_API_KEY": "k"}
GUNICORN = ["gunicorn", "--config", str(PROJECT / "deploy" / "gunicorn.conf.py")]


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({}, "GROQ_API_KEY is not set"),
        ({"GROQ_API_KEY": "k", "DRAIN_TIMEOUT_S": "long"}, "DRAIN_TIMEOUT_S: Input should be a valid number"),
        ({"GROQ_API_KEY": "k", "API_KEYS": "nameless"}, "API_KEYS: use name:secret"),
        ({"GROQ_API_KEY": "k", "API_KEYS": "other:secret"}, "API_KEYS: 'other' is a label of the metrics"),
        ({"GROQ_API_KEY": "k", "SPOOL_DIR": "/data"}, "SPOOL_DIR: its name is OUTBOX_DIR now; see CHANGELOG.md"),
        ({"GROQ_API_KEY": "k", "APP_ENV": "production", "API_KEYS": "me:secret"}, "DATABASE_URL: set it to a Post"),
        (
            PRODUCTION | {"DATABASE_URL": "postgresql://me@db/chats?sslmode=require"},
            "DATABASE_URL: add ?sslmode=",
        ),
        (
            PRODUCTION | {"DATABASE_URL": "postgresql://me@db/chats?sslmode=verify-full&sslrootcert=/nowhere/ca.crt"},
            "DATABASE_URL: /nowhere/ca.crt is no certificate",
        ),
        ({"GROQ_API_KEY": "k", "OUTBOX_MAX_BYTES": "9"}, "OUTBOX_MAX_BYTES: the largest chat may need 17825792"),
    ],
)
def test_invalid_setting_ends_the_start_with_one_sentence(tmp_path: Path, env: dict[str, str], words: str) -> None:
    code, output = run(GUNICORN, cwd=tmp_path, env=env)
    assert code != 0
    assert output.startswith(words)
    assert output.count("\n") == 1


def test_outbox_folder_that_cannot_be_written_ends_the_start(tmp_path: Path) -> None:
    env = {"GROQ_API_KEY": "k", "OUTBOX_DIR": "/dev/null", "HOME": str(tmp_path)}
    code, output = run(GUNICORN, cwd=tmp_path, env=env | {"DATABASE_URL": "postgresql://me@127.0.0.1:9/chats"})
    assert code == 1
    assert "OUTBOX_DIR: no rows can be written to /dev/null (File exists); set it to a folder" in output
    assert "Booting worker" not in output


@pytest.mark.parametrize(("metrics_port", "checked"), [(9464, [8000, 9464, 9465, 9466, 9467]), (0, [8000])])
def test_a_reload_needs_two_metrics_ports_per_worker(
    metrics_port: int, checked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    ports: list[int] = []
    monkeypatch.setattr("app.serving.checks.port_problem", lambda _, port: ports.append(port))
    check_ports(Settings(_env_file=None, port=8000, metrics_port=metrics_port, web_concurrency=2))
    assert ports == checked


@pytest.mark.parametrize("which", ["PORT", "METRICS_PORT"])
def test_port_in_use_ends_the_start(tmp_path: Path, which: str) -> None:
    """With SO_REUSEPORT two services could share a port unnoticed."""
    public, base = free_port(), free_ports(3)
    env = {"GROQ_API_KEY": "k", "PORT": str(public), "METRICS_PORT": str(base), "HOME": str(tmp_path)}
    used = public if which == "PORT" else base + 1
    other = ["http.server", "--bind", "127.0.0.1", str(used)]
    with program(other, cwd=tmp_path) as server:
        server.url()
        code, output = run(GUNICORN, cwd=tmp_path, env=env)
    assert code == 1
    assert f"cannot listen on 127.0.0.1:{used} (Address already in use): set {which} to a free port" in output
    assert "Booting worker" not in output

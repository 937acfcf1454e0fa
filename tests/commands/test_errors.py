"""Commands that cannot run print one sentence and exit with an error code."""

import socket
from pathlib import Path

import httpx2
import pytest

from app.core.config import Settings
from app.serving.checks import production_problems
from tests.commands.client import FREE_PORT, chat
from tests.support.processes import PROJECT, program, run


def test_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, output = run(["app"], cwd=tmp_path, env={"PORT": str(port)})
    assert code == 1
    assert output == (
        f"cannot listen on 127.0.0.1:{port} (Address already in use): "
        f"set PORT to a free port, for example PORT={port + 1}, or HOST to an address of this machine\n"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("command", "host"),
    [
        ("run", "127.0.0.1:1"),
        ("migrate", "127.0.0.1:1"),
        ("chats", "127.0.0.1:1"),
        ("chats", "nowhere.invalid:5432"),
    ],
)
def test_unreachable_database_is_one_sentence(tmp_path: Path, command: str, host: str) -> None:
    env = {"DATABASE_URL": f"postgresql+asyncpg://me:secret@{host}/chats", **FREE_PORT}
    code, output = run(["app", command], cwd=tmp_path, env=env)
    assert code == 1
    assert f"postgresql://{host}/chats" in output
    assert output.count("\n") == 1
    assert "secret" not in output


def test_unwritable_outbox_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    env = {"OUTBOX_DIR": "file", "DATABASE_URL": "postgresql://me@127.0.0.1:9/chats", **FREE_PORT}
    code, output = run(["app"], cwd=tmp_path, env=env)
    assert code == 1
    assert output.startswith(f"OUTBOX_DIR: no rows can be written to {tmp_path}/file (File exists); set it to a folder")
    assert output.count("\n") == 1


def test_database_host_of_compose_adds_a_hint(tmp_path: Path) -> None:
    code, output = run(["app", "migrate"], cwd=tmp_path, env={"DATABASE_URL": "postgresql://me:x@db:5432/chats"})
    assert code == 1
    assert "inside docker compose" in output


def test_ipv6_host_works_or_is_one_sentence(tmp_path: Path, http: httpx2.Client) -> None:
    """The machine may have no IPv6."""
    with program(["app"], cwd=tmp_path, env={"HOST": "::1", **FREE_PORT}) as running:
        try:
            url = running.url()
        except AssertionError:
            assert "cannot listen on ::1" in running.output
        else:
            assert chat(http, url).done


UVICORN = ["uvicorn", "--factory", "app.main:create_app", "--port", "0"]
GUNICORN = ["gunicorn", "--config", str(PROJECT / "deploy" / "gunicorn.conf.py")]


def test_a_server_that_cannot_run_on_its_settings_says_so(tmp_path: Path) -> None:
    """As any ASGI server starts it, without `make run` around it."""
    key = {"GROQ_API_KEY": "k"}
    for env, words in (({}, "GROQ_API_KEY is not set"), (key | {"CHAT_TIMEOUT_S": "soon"}, "CHAT_TIMEOUT_S: Input")):
        code, output = run(UVICORN, cwd=tmp_path, env=env)
        assert code == 1
        assert output.startswith(words)
        assert output.count("\n") == 1


@pytest.mark.parametrize("command", [["app"], UVICORN, GUNICORN], ids=["make run", "uvicorn", "gunicorn"])
def test_production_lists_every_missing_setting_at_once(tmp_path: Path, command: list[str]) -> None:
    """No warning and no traceback are printed beside them."""
    (tmp_path / "file").touch()
    env = {"APP_ENV": "production", "OUTBOX_DIR": "file", "PORT": "eight", "HOME": str(tmp_path)}
    simulator = {"GROQ_SIMULATOR_URL": "http://127.0.0.1:9/openai/v1"}
    code, output = run(command, cwd=tmp_path, env=env | simulator)
    assert code in {1, 2}
    assert [line.partition(":")[0] for line in output.splitlines()] == [
        "PORT",
        "API_KEYS",
        "GROQ_API_KEY",
        "DATABASE_URL",
        "OUTBOX_DIR",
    ]


@pytest.mark.parametrize("command", [["app"], UVICORN, GUNICORN], ids=["make run", "uvicorn", "gunicorn"])
def test_production_does_not_start_with_an_unwritable_outbox(tmp_path: Path, command: list[str]) -> None:
    """All other settings are valid; Groq may be reached over HTTP on this machine."""
    (tmp_path / "file").touch()
    env = {
        "APP_ENV": "production",
        "API_KEYS": "me:a-secret",
        "GROQ_API_KEY": "a-key",
        "GROQ_BASE_URL": "http://127.0.0.1:9/openai/v1",
        "DATABASE_URL": "postgresql://me:a-password@127.0.0.1:9/chats",
        "OUTBOX_DIR": "file",
        "HOME": str(tmp_path),
        **FREE_PORT,
    }
    code, output = run(command, cwd=tmp_path, env=env)
    assert code == 1
    assert output.startswith("OUTBOX_DIR: no rows can be written")
    assert output.count("\n") == 1


@pytest.mark.parametrize("url", ["http://simulator:9100/openai/v1", "http://10.0.0.1", "http://127.0.0.1.example"])
def test_production_requires_https_for_remote_upstreams(url: str) -> None:
    """Keys and prompts may be sent unencrypted within this machine only."""
    env = {"api_keys": "me:a-secret", "groq_api_key": "k", "database_url": "postgresql://me@localhost/chats"}
    for base_url, expected in ((url, ["GROQ_BASE_URL"]), *((allowed, []) for allowed in ALLOWED_URLS)):
        settings = Settings(_env_file=None, app_env="production", groq_base_url=base_url, **env)  # type: ignore[arg-type]
        assert [sentence.partition(":")[0] for sentence in production_problems(settings)] == expected
        assert production_problems(settings.model_copy(update={"app_env": "development"})) == []


ALLOWED_URLS = [
    "http://127.0.0.1:9/v1",
    "http://127.9.9.9",
    "http://[::1]:9",
    "http://localhost:9",
    "https://api.groq.com",
]


def test_invalid_setting_is_not_also_reported_as_missing(tmp_path: Path) -> None:
    env = {"APP_ENV": "production", "API_KEYS": "a-secret", "GROQ_API_KEY": "ключ", "DATABASE_URL": "mysql://a"}
    code, output = run(["app"], cwd=tmp_path, env=env)
    assert code == 2
    assert [line.partition(":")[0] for line in output.splitlines()] == ["API_KEYS", "GROQ_API_KEY", "DATABASE_URL"]
    assert "a-secret" not in output


@pytest.mark.parametrize("name", ["ALL_PROXY", "https_proxy"])
def test_unsupported_proxy_is_one_sentence(tmp_path: Path, name: str) -> None:
    """A key is set: the simulator is never reached through a proxy."""
    env = {name: "socks5://user:secret@127.0.0.1:1080", "GROQ_API_KEY": "k", **FREE_PORT}
    code, output = run(["app"], cwd=tmp_path, env=env)
    assert code == 2
    assert output.startswith("HTTPS_PROXY or ALL_PROXY: a socks5:// proxy is not supported")
    assert output.count("\n") == 1
    assert "secret" not in output
    elsewhere = {**env, "NO_PROXY": "api.groq.com", "DATABASE_URL": "postgresql://127.0.0.1:1/x"}
    _, output = run(["app"], cwd=tmp_path, env=elsewhere)
    assert "PROXY" not in output

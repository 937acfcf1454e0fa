"""Commands that cannot run print one sentence and exit with an error code."""

import socket
from pathlib import Path

import httpx2
import pytest

from app.core.config import Settings
from app.serving.checks import production_problems
from tests.commands.client import FREE_PORT, chat
from tests.commands.conftest import RunInProcess
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


@pytest.mark.parametrize("command", ["run", "chats"])
def test_process_with_an_invalid_setting_exits_with_one_sentence(tmp_path: Path, command: str) -> None:
    code, output = run(["app", command], cwd=tmp_path, env={"PORT": "eight"})
    assert (code, output.count("\n")) == (2, 1)
    assert output.startswith("PORT: Input should be a valid integer")


@pytest.mark.parametrize("command", ["run", "chats"])
@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PORT", "eight", "PORT: Input should be a valid integer"),
        ("MAX_ACTIVE_STREAMS", "0", "MAX_ACTIVE_STREAMS: Input should be greater than 0"),
        ("CLIENT_BUFFER_BYTES", "99999999999999", "CLIENT_BUFFER_BYTES: Input should be less than or equal to 1073741824"),
        ("CLIENT_WRITE_TIMEOUT_S", "99999999", "CLIENT_WRITE_TIMEOUT_S: Input should be less than or equal to 86400"),
        ("DATABASE_URL", "mysql://root:secret@db/x", "DATABASE_URL: use postgresql+asyncpg://"),
        ("GROQ_BASE_URL", "api.groq.com", "GROQ_BASE_URL: use a URL that starts with https://"),
        ("GROQ_BASE_URL", "http://[bad", "GROQ_BASE_URL: use a URL that starts with https://"),
        ("GROQ_API_KEY", "ключ", "GROQ_API_KEY: use the key exactly as Groq shows it"),
        ("MODEL_PRICES", "cheap", "MODEL_PRICES: use a JSON object"),
        ("MODEL_PRICES", '{"m": {"input": -1, "output": 1}}', "MODEL_PRICES.M.INPUT: Input should be greater"),
        ("DATABASE_URL", "postgres://host:port/db", "DATABASE_URL: use postgresql+asyncpg://"),
        ("DATABASE_URL", "sqlite:///:memory:", "DATABASE_URL: use postgresql+asyncpg://"),
        ("REDIS_URL", "http://:secret@h/0", "REDIS_URL: use redis://"),
        ("FORWARDED_ALLOW_IPS", "*", "FORWARDED_ALLOW_IPS: use IP addresses or networks"),
        ("FORWARDED_ALLOW_IPS", "0.0.0.0/0", "FORWARDED_ALLOW_IPS: name your proxies"),
        ("FORWARDED_ALLOW_IPS", "10.0.0.1, ::/0", "FORWARDED_ALLOW_IPS: name your proxies"),
        ("DRAIN_TIMEOUT_S", "inf", "DRAIN_TIMEOUT_S: Input should be a finite number"),
        ("MAX_BODY_BYTES", "1000000000", "MAX_BODY_BYTES_IN_FLIGHT: use 2000000000 or more"),
    ],
)
def test_invalid_setting_is_one_sentence(
    run_in_process: RunInProcess, command: str, name: str, value: str, words: str
) -> None:
    code, output = run_in_process(command, **{name: value})
    assert code == 2
    assert output.startswith(words)
    assert output.count("\n") == 1
    assert "secret" not in output


@pytest.mark.parametrize("option", ["foo=1", "socket_timeout=soon", "retry=1", "protocol=9"])
def test_unknown_option_of_redis_is_one_sentence(run_in_process: RunInProcess, option: str) -> None:
    env = {"REDIS_URL": f"redis://:secret@127.0.0.1/0?{option}", "QUOTA_STREAMS": "1"}
    code, output = run_in_process("run", **env)
    assert code == 2
    assert output.startswith("REDIS_URL: redis-py does not know an option")
    assert output.count("\n") == 1
    assert "secret" not in output


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

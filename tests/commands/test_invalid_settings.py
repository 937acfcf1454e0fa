"""A command with an invalid setting prints one sentence and exits with 2."""

from pathlib import Path

import pytest

from tests.commands.conftest import RunInProcess
from tests.support.processes import run


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
        ("CLIENT_BUFFER_BYTES", "99999999999999", "CLIENT_BUFFER_BYTES: Input should be less than or equal to 1"),
        ("CLIENT_WRITE_TIMEOUT_S", "99999999", "CLIENT_WRITE_TIMEOUT_S: Input should be less than or equal to 86400"),
        ("DATABASE_URL", "mysql://root:secret@db/x", "DATABASE_URL: use postgresql+asyncpg://"),
        ("GROQ_BASE_URL", "api.groq.com", "GROQ_BASE_URL: use a URL that starts with https://"),
        ("GROQ_BASE_URL", "http://[bad", "GROQ_BASE_URL: use a URL that starts with https://"),
        ("GROQ_API_KEY", "ключ", "GROQ_API_KEY: use the key exactly as Groq shows it"),
        ("GROQ_MODEL_ALIASES", '{"a": "ü€"}', "GROQ_MODEL_ALIASES.A: use the model's id exactly as Groq lists it"),
        ("GROQ_MODEL_ALIASES", '{"a": "b\\nc"}', "GROQ_MODEL_ALIASES.A: use the model's id exactly as Groq lists it"),
        ("GROQ_MODEL_ALIASES", '{"a": ""}', "GROQ_MODEL_ALIASES.A: use the model's id exactly as Groq lists it"),
        ("GROQ_DEFAULT_MODEL", "\udcff", "GROQ_DEFAULT_MODEL: use the model's id exactly as Groq lists it"),
        ("GROQ_FALLBACK_MODEL", "a model", "GROQ_FALLBACK_MODEL: use the model's id exactly as Groq lists it"),
        ("HOST", "éé..x", "HOST: use an IP address or the name of a host"),
        ("METRICS_HOST", "\udcff", "METRICS_HOST: use an IP address or the name of a host"),
        ("MODEL_PRICES", "cheap", "MODEL_PRICES: use a JSON object"),
        ("MODEL_PRICES", '{"m": {"input": -1, "output": 1}}', "MODEL_PRICES.M.INPUT: Input should be greater"),
        ("DATABASE_URL", "postgres://host:port/db", "DATABASE_URL: use postgresql+asyncpg://"),
        ("DATABASE_URL", "sqlite:///:memory:", "DATABASE_URL: use postgresql+asyncpg://"),
        ("DATABASE_URL", "sqlite://chats.db", "DATABASE_URL: use postgresql+asyncpg://"),
        ("DATABASE_URL", "sqlite:///chats.db?timeout=5", "DATABASE_URL: use postgresql+asyncpg://"),
        ("READ_TIMEOUT_S", "2147484", "READ_TIMEOUT_S: Input should be less than or equal to 86400"),
        ("WEB_CONCURRENCY", "256", "WEB_CONCURRENCY: Input should be less than or equal to 255"),
        ("INTER_TOKEN_TIMEOUT_S", "0.9", "INTER_TOKEN_TIMEOUT_S: use more than GROQ_END_TIMEOUT_S, which is 0.9"),
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

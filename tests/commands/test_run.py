"""The one command, as a newcomer types it."""

import json
import re
import signal
import socket
import time
from pathlib import Path

import httpx2
import pytest

from tests.support.processes import program, run
from tests.support.service import PATH, Reply

FREE_PORT = {"PORT": "0"}


def chat(http: httpx2.Client, url: str, prompt: str = "Hello") -> Reply:
    response = http.post(url + PATH, json={"messages": [{"role": "user", "content": prompt}]})
    return Reply(response.status_code, response.headers, response.content)


def test_with_nothing_configured_a_chat_streams_and_its_row_can_be_shown(tmp_path: Path, http: httpx2.Client) -> None:
    with program(["app"], cwd=tmp_path, env=FREE_PORT) as running:
        url = running.url()
        assert "a simulator stands in for Groq" in running.output
        assert "GROQ_API_KEY" in running.output
        reply = chat(http, url, "Is anybody there?")
        assert reply.done
        code, output = run(["app", "chats", "--json", "--limit", "1"], cwd=tmp_path)
        assert code == 0
        row = json.loads(output)
        assert (row["id"], row["response"], row["prompt"]) == (reply.id, reply.text, "Is anybody there?")
        code, table = run(["app", "chats"], cwd=tmp_path)
        assert code == 0
        assert reply.id in table
        assert "Is anybody there?" in table
        assert running.stop() == 0
    assert "Traceback" not in running.output


def test_what_it_says_to_try_next_works(tmp_path: Path, http: httpx2.Client) -> None:
    with program(["app"], cwd=tmp_path, env=FREE_PORT) as running:
        url = running.url()
        found = re.search(r"-d '(.*)'", running.output)
        assert found
        response = http.post(url + PATH, content=found[1], headers={"content-type": "application/json"})
        assert response.text.endswith("data: [DONE]\n\n")
        assert http.get(f"{url}/docs").status_code == 200


def test_a_second_run_finds_the_chats_of_the_first(tmp_path: Path, http: httpx2.Client) -> None:
    ids = set()
    for _ in range(2):
        with program(["app"], cwd=tmp_path, env=FREE_PORT) as running:
            ids.add(chat(http, running.url()).id)
    _, output = run(["app", "chats", "--json"], cwd=tmp_path)
    assert {json.loads(line)["id"] for line in output.splitlines()} == ids


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_in_good_order_and_the_running_chat_ends_first(
    tmp_path: Path, http: httpx2.Client, how: signal.Signals
) -> None:
    with program(["app"], cwd=tmp_path, env=FREE_PORT) as running:
        url = running.url()
        with http.stream("POST", url + PATH, json={"messages": [{"role": "user", "content": "Hello"}]}) as response:
            pieces = response.iter_raw()
            body = next(pieces)
            running.signal(how)
            body += b"".join(pieces)
        assert body.endswith(b"data: [DONE]\n\n")
        assert running.wait() == (0 if how is signal.SIGINT else -signal.SIGTERM)
    assert "Traceback" not in running.output


def test_a_stream_that_outlasts_the_grace_period_has_its_row(tmp_path: Path, http: httpx2.Client) -> None:
    """The server cancels it and goes on closing; the row is written before the database is closed."""
    with program(["app.simulator", "--port", "0"], cwd=tmp_path) as groq:
        http.put(groq.url().removesuffix("/openai/v1") + "/faults", json={"faults": [{"tokens_per_s": 5}]})
        env = {"SHUTDOWN_GRACE_S": "1", "GROQ_SIMULATOR_URL": groq.url(), **FREE_PORT}
        with program(["app"], cwd=tmp_path, env=env) as running:
            body = {"messages": [{"role": "user", "content": "Hello"}]}
            with http.stream("POST", running.url() + PATH, json=body) as response:
                next(response.iter_raw())
                running.signal(signal.SIGINT)
                assert running.wait() == 0
                chat_id = response.headers["x-request-id"]
    _, output = run(["app", "chats", "--json"], cwd=tmp_path)
    assert [json.loads(line)["id"] for line in output.splitlines()] == [chat_id]


def test_a_second_ctrl_c_ends_it_at_once(tmp_path: Path, http: httpx2.Client) -> None:
    with program(["app.simulator", "--port", "0"], cwd=tmp_path) as groq:
        http.put(groq.url().removesuffix("/openai/v1") + "/faults", json={"faults": [{"tokens_per_s": 1}]})
        with program(["app"], cwd=tmp_path, env={"GROQ_SIMULATOR_URL": groq.url(), **FREE_PORT}) as running:
            body = {"messages": [{"role": "user", "content": "Hello"}]}
            with http.stream("POST", running.url() + PATH, json=body) as response:
                next(response.iter_raw())
                running.signal(signal.SIGINT)
                time.sleep(0.5)
                started = time.monotonic()
                running.signal(signal.SIGINT)
                running.wait()
                assert time.monotonic() - started < 10


def test_what_people_wrote_cannot_steer_the_terminal(tmp_path: Path, http: httpx2.Client) -> None:
    with program(["app"], cwd=tmp_path, env=FREE_PORT) as running:
        chat(http, running.url(), "\x1b[2Jgone\x07")
    _, table = run(["app", "chats"], cwd=tmp_path)
    assert "gone" in table
    assert "\x1b" not in table
    assert "\x07" not in table


def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, output = run(["app"], cwd=tmp_path, env={"PORT": str(port)})
    assert code == 1
    assert output == (
        f"cannot listen on 127.0.0.1:{port} (Address already in use): "
        "set PORT to a free port, for example PORT=8001, or HOST to an address of this machine\n"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["run", "chats"])
@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PORT", "eight", "PORT: Input should be a valid integer"),
        ("MAX_ACTIVE_STREAMS", "0", "MAX_ACTIVE_STREAMS: Input should be greater than 0"),
        ("DATABASE_URL", "mysql://root:secret@db/x", "DATABASE_URL: use postgresql+asyncpg://"),
        ("GROQ_BASE_URL", "api.groq.com", "GROQ_BASE_URL: use a URL that starts with https://"),
        ("GROQ_BASE_URL", "http://[bad", "GROQ_BASE_URL: use a URL that starts with https://"),
        ("GROQ_API_KEY", "ключ", "GROQ_API_KEY: use the key as Groq gave it"),
        ("MODEL_PRICES", "cheap", "MODEL_PRICES: use a JSON object"),
        ("MODEL_PRICES", '{"m": {"input": -1, "output": 1}}', "MODEL_PRICES.M.INPUT: Input should be greater"),
        ("DATABASE_URL", "postgres://host:port/db", "DATABASE_URL: use postgresql+asyncpg://"),
        ("DATABASE_URL", "sqlite:///:memory:", "DATABASE_URL: use postgresql+asyncpg://"),
        ("SHUTDOWN_GRACE_S", "inf", "SHUTDOWN_GRACE_S: Input should be a finite number"),
    ],
)
def test_a_bad_setting_is_one_sentence(tmp_path: Path, command: str, name: str, value: str, words: str) -> None:
    code, output = run(["app", command], cwd=tmp_path, env={name: value})
    assert code == 2
    assert output.startswith(words)
    assert output.count("\n") == 1
    assert "secret" not in output


@pytest.mark.parametrize("command", ["run", "migrate", "chats"])
@pytest.mark.parametrize("host", ["127.0.0.1:1", "nowhere.invalid:5432"])
def test_an_unreachable_database_is_one_sentence(tmp_path: Path, command: str, host: str) -> None:
    env = {"DATABASE_URL": f"postgresql+asyncpg://me:secret@{host}/chats", **FREE_PORT}
    code, output = run(["app", command], cwd=tmp_path, env=env)
    assert code == 1
    assert f"postgresql://{host}/chats" in output
    assert output.count("\n") == 1
    assert "secret" not in output


def test_the_database_of_compose_gets_a_hint(tmp_path: Path) -> None:
    code, output = run(["app", "migrate"], cwd=tmp_path, env={"DATABASE_URL": "postgresql://me:x@db:5432/chats"})
    assert code == 1
    assert "inside docker compose" in output


def test_chats_without_a_database_says_how_to_get_one(tmp_path: Path) -> None:
    code, output = run(["app", "chats"], cwd=tmp_path)
    assert code == 1
    assert "make run" in output
    assert output.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("limit", ["0", "-1", "many", "9" * 30])
def test_a_limit_that_is_no_count_is_refused(tmp_path: Path, limit: str) -> None:
    code, output = run(["app", "chats", "--limit", limit], cwd=tmp_path)
    assert code == 2
    assert "a number from 1 to 100000" in output


def test_an_address_of_the_other_family_works_or_is_one_sentence(tmp_path: Path, http: httpx2.Client) -> None:
    """A machine may have no IPv6; the address is understood all the same."""
    with program(["app"], cwd=tmp_path, env={"HOST": "::1", **FREE_PORT}) as running:
        try:
            url = running.url()
        except AssertionError:
            assert "cannot listen on ::1" in running.output
        else:
            assert chat(http, url).done


def test_a_proxy_in_the_environment_does_not_stand_between_the_service_and_its_simulator(
    tmp_path: Path, http: httpx2.Client
) -> None:
    env = {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", **FREE_PORT}
    with program(["app"], cwd=tmp_path, env=env) as running:
        assert chat(http, running.url()).done


def test_a_server_that_cannot_run_on_its_settings_says_so(tmp_path: Path) -> None:
    """As any ASGI server starts it, without `make run` around it."""
    for env, words in (({}, "GROQ_API_KEY is not set"), ({"CHAT_TIMEOUT_S": "soon"}, "CHAT_TIMEOUT_S: Input")):
        code, output = run(["uvicorn", "--factory", "app.main:create_app", "--port", "0"], cwd=tmp_path, env=env)
        assert code == 1
        assert output.startswith(words)
        assert output.count("\n") == 1


def test_the_simulator_runs_on_its_own(tmp_path: Path, http: httpx2.Client) -> None:
    with program(["app.simulator", "--port", "0", "--free-tier"], cwd=tmp_path) as running:
        url = running.url()
        assert len(http.get(f"{url}/models").json()["data"]) > 3
        body = {"model": "llama-3.1-8b-instant", "messages": [{"role": "user", "content": "Hi"}]}
        response = http.post(f"{url}/chat/completions", json=body, headers={"authorization": "Bearer x"})
        assert response.headers["x-ratelimit-limit-tokens"] == "12000"
        assert running.stop() == 0

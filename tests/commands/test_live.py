"""`python -m app live`: the running chats of two workers, from their metrics ports."""

import signal
from pathlib import Path

import httpx2
import pytest

from app.api.state import CONTINUE_HEADER
from tests.support.ports import free_ports
from tests.support.processes import program, run
from tests.support.service import DROP_IN, PATH, SimulatedGroq, http_client
from tests.support.serving import serving
from tests.support.shared import SharedResources

SECRET = "a-word-of-mine"
CHATS = 8


def test_running_chats_of_all_workers_are_shown_without_text(
    groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path, shared: SharedResources
) -> None:
    groq.fail({"tokens_per_s": 5})
    key, body = {"authorization": "Bearer a-key"}, {"messages": [{"role": "user", "content": SECRET}], "user": SECRET}
    env = {"API_KEYS": "me:a-key", "GROQ_API_KEY": "test", "GROQ_BASE_URL": groq.url, "DRAIN_TIMEOUT_S": "0.1"}
    with serving(tmp_path, http, env, database_url=shared.migrated_database("sqlite", tmp_path)) as workers:
        ids = set()
        for _ in range(CHATS):
            headers = key | {CONTINUE_HEADER: "true"}
            with (
                http_client() as client,  # a new connection, which the kernel gives to either worker
                client.stream("POST", workers.url + PATH, json=body, headers=headers) as response,
            ):
                next(response.iter_raw())
                ids.add(response.headers["x-request-id"])
        metrics = {"METRICS_PORT": str(workers.metrics_base)}
        code, output = run(["app", "live", "--once"], cwd=tmp_path, env=metrics)
        assert code == 0
        title, head, *lines = output.splitlines()
        assert title.startswith(f"running chats: {CHATS}, workers: 2, ")
        assert head.split()[:4] == ["worker", "id", "client", "model"]
        shown = {line.split()[1]: line.split()[0] for line in lines}
        assert shown.keys() == ids
        assert {line.split()[2] for line in lines} == {"me"}
        assert all(line.endswith("client left") for line in lines)
        answer = http.get(f"{workers.url}{DROP_IN}?state=running", headers=key).json()
        worker = str(answer["x_chat"]["worker"])
        assert {each["id"] for each in answer["data"]} == {each for each in ids if shown[each] == worker}
        assert SECRET not in output
        with program(["app", "live"], cwd=tmp_path, env=metrics) as live:
            assert live.line(lambda line: line.startswith(f"running chats: {CHATS}"))
            assert live.line(lambda line: line.startswith(f"running chats: {CHATS}"), after=CHATS + 2)
            assert live.stop(signal.SIGINT) == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "€.invalid"])
def test_missing_workers_are_reported(tmp_path: Path, host: str) -> None:
    env = {"METRICS_HOST": host, "METRICS_PORT": str(free_ports(4))}
    code, output = run(["app", "live", "--once"], cwd=tmp_path, env=env)
    assert code == 1
    assert "no worker answers; METRICS_HOST, METRICS_PORT and WEB_CONCURRENCY" in output

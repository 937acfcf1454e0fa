"""`python -m app live`: the running chats of two workers, from their metrics ports."""

import signal
from contextlib import ExitStack
from pathlib import Path

import httpx2

from app.api.state import CONTINUE_HEADER
from tests.support.ports import free_ports
from tests.support.processes import program, run
from tests.support.service import DROP_IN, PATH, SimulatedGroq, service_before

SECRET = "a-word-of-mine"


def test_running_chats_of_all_workers_are_shown_without_text(
    groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path
) -> None:
    groq.fail({"tokens_per_s": 10})
    base = free_ports(2)
    settings = {"METRICS_PORT": str(base), "API_KEYS": "me:a-key", "CHAT_TIMEOUT_S": "30"}
    key, body = {"authorization": "Bearer a-key"}, {"messages": [{"role": "user", "content": SECRET}], "user": SECRET}
    with ExitStack() as stack:
        ids, listed = [], []
        for slot in range(2):
            (folder := tmp_path / str(slot)).mkdir()
            service = stack.enter_context(service_before(groq, folder, settings | {"WORKER_SLOT": str(slot)}))
            headers = key | {CONTINUE_HEADER: "true"}
            with http.stream("POST", service.url + PATH, json=body, headers=headers) as response:
                next(response.iter_raw())
                ids.append(response.headers["x-request-id"])
            found = http.get(f"{service.url}{DROP_IN}?state=running", headers=key).json()["data"]
            listed += [(each["id"], each["x_chat"]["worker"]) for each in found]
        assert listed == [(ids[0], 0), (ids[1], 1)]
        code, output = run(["app", "live", "--once"], cwd=tmp_path, env=settings)
        assert code == 0
        title, head, *lines = output.splitlines()
        assert title.startswith("2 running chats of 2 workers, ")
        assert head.split()[:4] == ["worker", "id", "client", "model"]
        assert [line.split()[:3] for line in lines] == [[str(slot), ids[slot], "me"] for slot in range(2)]
        assert all(line.endswith("client left") for line in lines)
        assert SECRET not in output
        with program(["app", "live"], cwd=tmp_path, env=settings) as shown:
            assert shown.line(lambda line: line.startswith("2 running chats"))
            assert shown.line(lambda line: line.startswith("2 running chats"), after=4)
            assert shown.stop(signal.SIGINT) == 0


def test_missing_workers_are_reported(tmp_path: Path) -> None:
    code, output = run(["app", "live", "--once"], cwd=tmp_path, env={"METRICS_PORT": str(free_ports(4))})
    assert code == 1
    assert "no worker answers; METRICS_HOST, METRICS_PORT and WEB_CONCURRENCY" in output

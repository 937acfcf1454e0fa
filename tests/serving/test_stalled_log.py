"""The reader of the log stops reading: stdout and stderr are a pipe that is full from the start on."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.serving.conftest import ENV
from tests.serving.test_workers import streaming
from tests.support.ports import free_port
from tests.support.processes import program
from tests.support.scrape import scrape, total, wait_until_answering
from tests.support.service import SimulatedGroq
from tests.support.serving import Workers, serving

QUEUE_BYTES = 8000
Start = Callable[[], AbstractContextManager[Workers]]


@pytest.fixture(params=["one process", "gunicorn"])
def stalled(
    request: pytest.FixtureRequest, chats_database: str, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path
) -> Start:
    """Starts a service whose log is not read, with a queue for a few lines."""
    env = {**ENV, "GROQ_BASE_URL": groq.url, "LOG_QUEUE_BYTES": str(QUEUE_BYTES)}
    if request.param == "gunicorn":
        return lambda: serving(tmp_path, http, env, database_url=chats_database, stalled=True)

    @contextmanager
    def one_process() -> Iterator[Workers]:
        port, metrics = free_port(), free_port()
        ports = {"PORT": str(port), "METRICS_PORT": str(metrics), "DATABASE_URL": chats_database}
        with program(["app"], cwd=tmp_path, env=env | ports, stop_with=signal.SIGTERM, stalled=True) as running:
            wait_until_answering(http, metrics)
            yield Workers(f"http://127.0.0.1:{port}", running, chats_database, http, metrics, 1)

    return one_process


def dropped(workers: Workers) -> float:
    return total(scrape(workers.http, *workers.ports), "log_lines_dropped_total")


def chat_until_lines_are_dropped(workers: Workers) -> None:
    deadline = time.monotonic() + 60
    while dropped(workers) < 5:
        assert time.monotonic() < deadline, "nothing is dropped"
        for _ in range(10):
            with httpx2.Client(timeout=10, trust_env=False) as client:  # a connection to any of the workers
                assert client.get(f"{workers.url}/healthz").status_code == 200
                assert workers.chat().done


def ends_well(workers: Workers) -> None:
    """Within the time to flush, which is a second for each of two generations of processes, and what a stop takes."""
    began = time.monotonic()
    workers.program.signal(signal.SIGTERM)
    assert workers.program.wait() == 0
    assert time.monotonic() - began < 15
    assert "Fatal Python error" not in workers.program.output


def test_nothing_waits_for_a_reader_that_has_stopped(stalled: Start, groq: SimulatedGroq) -> None:
    groq.fail({"silence_s": 3, "after_tokens": 5, "times": 1})
    with stalled() as workers:
        with streaming(workers) as (_, pieces):
            groq.recover()
            chat_until_lines_are_dropped(workers)
            assert b"".join(pieces).endswith(b"data: [DONE]\n\n")
        ends_well(workers)
        assert workers.program.lines[0] == "\n"  # it was full from the start on
        whole = [json.loads(line) for line in workers.program.lines if line.startswith("{")]
        assert "log.lines_dropped" not in {line["event"] for line in whole}


def test_when_it_reads_again_it_gets_what_was_queued_and_how_much_was_not(stalled: Start) -> None:
    with stalled() as workers:
        chat_until_lines_are_dropped(workers)
        workers.program.read_on()
        assert workers.program.wait_for("log.lines_dropped")
        reply = workers.chat()
        assert workers.finished_line(reply.id)
        deadline = time.monotonic() + 30
        while reported(workers) < dropped(workers):  # by each worker
            assert time.monotonic() < deadline, "not all are reported"
        assert reported(workers) == dropped(workers)
        ends_well(workers)


def reported(workers: Workers) -> int:
    lines = [json.loads(line) for line in workers.program.lines if '"log.lines_dropped"' in line]
    return sum(line["count"] for line in lines if line["worker"] != "master")


def test_the_master_goes_on_minding_its_workers(
    chats_database: str, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path
) -> None:
    env = {**ENV, "GROQ_BASE_URL": groq.url, "LOG_QUEUE_BYTES": "1"}
    with serving(tmp_path, http, env, database_url=chats_database, stalled=True) as workers:
        workers.program.signal(signal.SIGHUP)  # it logs for each worker that comes and goes
        workers.wait_for_ports(*(port + workers.count for port in (workers.metrics_base, workers.metrics_base + 1)))
        assert workers.chat().done
        ends_well(workers)


def test_a_reader_that_has_gone_costs_the_lines_and_nothing_else(stalled: Start) -> None:
    with stalled() as workers:
        workers.program.hang_up()
        chat_until_lines_are_dropped(workers)
        ends_well(workers)

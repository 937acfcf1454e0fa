"""A log reader that has stopped: stdout and stderr are a pipe that is full before the service starts."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.serving.conftest import ENV, StartWorkers
from tests.serving.test_workers import streaming
from tests.support.ports import free_port
from tests.support.processes import program
from tests.support.scrape import scrape, total, wait_until_answering
from tests.support.service import SimulatedGroq, http_client
from tests.support.serving import Workers, serving
from tests.support.waiting import wait_until

QUEUE_BYTES = 8000
StartService = Callable[[], AbstractContextManager[Workers]]


@pytest.fixture(params=["one process", "gunicorn"])
def stalled(
    request: pytest.FixtureRequest, chats_database: str, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path
) -> StartService:
    """Starts a service whose log is not read, with a log queue for a few lines."""
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
    def chat_ten_times() -> bool:
        for _ in range(10):
            with http_client() as client:  # a new connection reaches either worker
                assert client.get(f"{workers.url}/healthz").status_code == 200
            assert workers.chat().done
        return dropped(workers) >= 5

    wait_until(chat_ten_times, "no lines are dropped", 60)


def assert_stops(workers: Workers) -> None:
    """Within 15 s: a stop, and one second for each of two generations of processes to flush their logs."""
    began = time.monotonic()
    workers.program.signal(signal.SIGTERM)
    assert workers.program.wait() == 0
    assert time.monotonic() - began < 15
    assert "Fatal Python error" not in workers.program.output


def test_stopped_reader_blocks_no_chat_and_no_stop(stalled: StartService, groq: SimulatedGroq) -> None:
    groq.fail({"silence_s": 3, "after_tokens": 5, "times": 1})
    with stalled() as workers:
        with streaming(workers) as (_, pieces):
            groq.recover()
            chat_until_lines_are_dropped(workers)
            assert b"".join(pieces).endswith(b"data: [DONE]\n\n")
        assert_stops(workers)
        assert workers.program.lines[0] == "\n"  # the pipe was full before the start
        lines = [json.loads(line) for line in workers.program.lines if line.startswith("{")]
        assert "log.lines_dropped" not in {line["event"] for line in lines}


def test_reader_that_continues_gets_queued_lines_and_the_number_of_dropped_ones(stalled: StartService) -> None:
    with stalled() as workers:
        chat_until_lines_are_dropped(workers)
        workers.program.read_on()
        assert workers.program.wait_for("log.lines_dropped")
        reply = workers.chat()
        assert workers.finished_line(reply.id)
        wait_until(lambda: reported(workers) >= dropped(workers), "not all dropped lines are reported")
        assert reported(workers) == dropped(workers)
        assert_stops(workers)


def reported(workers: Workers) -> int:
    lines = [json.loads(line) for line in workers.program.lines if '"log.lines_dropped"' in line]
    return sum(line["count"] for line in lines if line["worker"] != "master")


def test_stopped_reader_does_not_block_the_master(start_workers: StartWorkers) -> None:
    with start_workers({"LOG_QUEUE_BYTES": "1"}, stalled=True) as workers:
        workers.program.signal(signal.SIGHUP)  # the master logs each worker that starts or ends
        workers.wait_for_ports(*(port + workers.count for port in (workers.metrics_base, workers.metrics_base + 1)))
        assert workers.chat().done
        assert_stops(workers)


def test_closed_pipe_drops_lines_and_blocks_nothing(stalled: StartService) -> None:
    with stalled() as workers:
        workers.program.close_output()
        chat_until_lines_are_dropped(workers)
        assert_stops(workers)

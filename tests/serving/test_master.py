"""gunicorn's master: what becomes of the service when it is killed, and what it does not do."""

import signal
import time
from pathlib import Path

import httpx2

from tests.serving.conftest import ENV
from tests.serving.test_workers import streaming
from tests.support.processes import PROJECT, program
from tests.support.service import SimulatedGroq
from tests.support.serving import Workers, serving

SILENCE_S = 12
"""Three times what a start takes on a machine that is not busy."""


def test_after_the_master_was_killed_a_new_one_starts_at_once_and_old_streams_end_well(
    chats_database: str, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path
) -> None:
    """On the same ports, while a worker of the old one still has a stream to finish."""
    groq.fail({"silence_s": SILENCE_S, "after_tokens": 5, "times": 1})
    env = {**ENV, "GROQ_BASE_URL": groq.url, "DRAIN_TIMEOUT_S": "30", "INTER_TOKEN_TIMEOUT_S": "30"}
    with (
        serving(tmp_path, http, env, database_url=chats_database) as killed,
        streaming(killed) as (chat_id, pieces),
    ):
        killed.program.signal(signal.SIGKILL)
        settings = {"PORT": killed.url.rpartition(":")[2], "METRICS_PORT": str(killed.metrics_base)}
        began = time.monotonic()
        command = ["gunicorn", "--config", str(PROJECT / "deploy" / "gunicorn.conf.py")]
        more = {"WEB_CONCURRENCY": "2", "DATABASE_URL": chats_database, "HOME": str(tmp_path)}
        with program(command, cwd=tmp_path, env=env | settings | more, stop_with=signal.SIGTERM) as started:
            again = Workers(killed.url, started, chats_database, http, killed.metrics_base, 2)
            while started.output.count('"metrics.served"') < 2:
                assert time.monotonic() < began + SILENCE_S, "the new one did not start"
                time.sleep(0.02)
            reply = again.chat()
            assert reply.done
            assert again.finished_line(reply.id)
            assert not [line for line in killed.program.lines if chat_id in line]  # its stream is not over
            assert b"".join(pieces).endswith(b"data: [DONE]\n\n")
            assert killed.row(chat_id)["outcome"] == "completed"
        assert killed.program.wait_for("has died: this worker finishes its streams and exits")


def test_a_second_master_is_refused_with_a_sentence_and_the_service_goes_on(workers: Workers) -> None:
    """USR2, gunicorn's way to replace itself. Ports of metrics and workers' numbers are those of one master."""
    ports = workers.ports
    deadline = time.monotonic() + 30
    while workers.program.output.count("USR2 is not supported") < 2:  # and not only the first time
        assert time.monotonic() < deadline, "no sentence"
        workers.program.signal(signal.SIGUSR2)
        time.sleep(0.5)
    assert workers.chat().done
    assert workers.ports == ports
    workers.program.signal(signal.SIGTERM)
    assert workers.program.wait() == 0
    assert "Traceback" not in workers.program.output

"""gunicorn's master: the service survives its kill, and it refuses to replace itself."""

import signal
from pathlib import Path

import httpx2

from tests.serving.conftest import ENV
from tests.serving.test_workers import streaming
from tests.support.processes import PROJECT, program
from tests.support.service import SimulatedGroq
from tests.support.serving import Workers, serving
from tests.support.waiting import wait_until

SILENCE_S = 12
"""Three times what a start takes on an idle machine."""


def test_new_master_starts_on_the_same_ports_while_a_worker_of_a_killed_one_finishes_its_stream(
    chats_database: str, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path
) -> None:
    groq.fail({"silence_s": SILENCE_S, "after_tokens": 5, "times": 1})
    env = {**ENV, "GROQ_BASE_URL": groq.url, "DRAIN_TIMEOUT_S": "30", "INTER_TOKEN_TIMEOUT_S": "30"}
    with (
        serving(tmp_path, http, env, database_url=chats_database) as killed,
        streaming(killed) as (chat_id, pieces),
    ):
        killed.program.signal(signal.SIGKILL)
        settings = {"PORT": killed.url.rpartition(":")[2], "METRICS_PORT": str(killed.metrics_base)}
        command = ["gunicorn", "--config", str(PROJECT / "deploy" / "gunicorn.conf.py")]
        more = {"WEB_CONCURRENCY": "2", "DATABASE_URL": chats_database, "HOME": str(tmp_path)}
        with program(command, cwd=tmp_path, env=env | settings | more, stop_with=signal.SIGTERM) as started:
            again = Workers(killed.url, started, chats_database, http, killed.metrics_base, 2)
            wait_until(lambda: started.output.count('"metrics.served"') == 2, "no new workers", SILENCE_S)
            reply = again.chat()
            assert reply.done
            assert again.finished_line(reply.id)
            assert not [line for line in killed.program.lines if chat_id in line]  # its stream has not ended
            assert b"".join(pieces).endswith(b"data: [DONE]\n\n")
            assert killed.row(chat_id)["outcome"] == "completed"
        assert killed.program.wait_for("has died: this worker finishes its chats and exits")


def test_usr2_is_refused_and_the_service_continues(workers: Workers) -> None:
    """With USR2 gunicorn starts a second master, which would use the same ports for metrics."""
    ports = workers.ports
    for _ in range(2):
        printed = len(workers.program.lines)

        def is_refused(after: int = printed) -> str | None:
            """It is ignored while the child of the last one exists."""
            workers.program.signal(signal.SIGUSR2)
            return workers.program.line(lambda line: "USR2 is not supported" in line, after=after, seconds=1)

        wait_until(is_refused, "USR2 is not refused")
    assert workers.chat().done
    assert workers.ports == ports
    workers.program.signal(signal.SIGTERM)
    assert workers.program.wait() == 0
    assert "Traceback" not in workers.program.output

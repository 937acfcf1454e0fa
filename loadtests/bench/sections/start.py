"""How soon it serves, and how large it is then."""

import http.client
import signal
import statistics
import time
from contextlib import suppress

from loadtests.bench.contenders import settings
from loadtests.bench.machine import children_on, rss_bytes, tree
from loadtests.bench.plan import Plan
from loadtests.bench.report import Section, Target, number
from loadtests.bench.stage import Stage
from tests.support.ports import free_port, free_ports
from tests.support.processes import PROJECT, program

_COMMAND = ["gunicorn", "--config", str(PROJECT / "deploy" / "gunicorn.conf.py")]
_PATIENCE_S = 30
_SETTLES_S = 1


def start(stage: Stage, plan: Plan) -> Section:
    _start(stage)  # the first one finds files that are not in memory, or not compiled
    found = []
    for turn in range(plan.starts):
        stage.say(f"start: {turn + 1} of {plan.starts} ...")
        found.append(_start(stage))
    took, worker, whole = (statistics.median(column) for column in zip(*found, strict=True))
    return Section(
        "The start",
        "`make serve`'s command, with one worker and all signals, from its exec to the first 200 of `/readyz`; memory "
        f"of the worker and of the process tree {_SETTLES_S} s later. Files are warm; the median of {plan.starts}.",
        ["", "start s", "worker MB", "tree MB"],
        [["all on", number(took), number(worker / 1e6), number(whole / 1e6)]],
        [
            Target("from exec to ready", took, "≤", 1.5, "s"),
            Target("memory of an idle worker", worker / 1e6, "≤", 120, "MB"),
        ],
    )


def _start(stage: Stage) -> tuple[float, float, float]:
    """Seconds until it was ready, and the bytes of its worker and of all its processes."""
    port = free_port()
    own = {
        "PORT": str(port),
        "METRICS_PORT": str(free_ports(2)),
        "WEB_CONCURRENCY": "1",
        "DATABASE_URL": stage.database_url,
        "HOME": str(stage.folder),
    }
    with children_on(stage.cores.server, back_on=stage.cores.ends):
        began = time.monotonic()
        running = program(
            _COMMAND, cwd=stage.folder, env={**settings(stage, signals=True), **own}, stop_with=signal.SIGTERM,
            show=lambda _: None,
        )  # fmt: skip
        service = running.__enter__()
    try:
        took = _ready_at(port) - began
        time.sleep(_SETTLES_S)
        processes = tree(service.pid)
        return took, rss_bytes(processes[1:]), rss_bytes(processes)
    finally:
        running.__exit__(None, None, None)


def _ready_at(port: int) -> float:
    deadline = time.monotonic() + _PATIENCE_S
    while (now := time.monotonic()) < deadline:
        with suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return time.monotonic()
        time.sleep(max(0, now + 0.005 - time.monotonic()))
    raise AssertionError(f"not ready within {_PATIENCE_S} s")

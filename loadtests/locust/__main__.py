"""`python -m loadtests.locust`: starts a service unless there is one, then locust; exit code 0: objectives are met."""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from loadtests.locust.shapes import FAULTS, SHAPES

_REPORTS = Path("data") / "loadtest"


def main() -> int:
    options, others = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with nullcontext(options.host) if options.host else _service(options) as host:
            faults = f", with faults: {', '.join(options.fault)}" if options.fault else ""
            about = "which ran before" if options.host else f"one worker on PostgreSQL, a simulated Groq{faults}"
            print(f"{options.shape}: {SHAPES[options.shape].description}\nat {host}, {about}\n", flush=True)
            return _locust(options, others, host)
    except KeyboardInterrupt:
        return 130


def _arguments() -> tuple[argparse.Namespace, list[str]]:
    """Parse this program's options; the others are for locust."""
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        prog="python -m loadtests.locust",
        description="Runs a load test, judged by the SLOs. Other options are locust's, such as --run-time 60s.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--users", type=int, default=100, help="highest number of concurrent users")
    parser.add_argument("--shape", choices=SHAPES, default="steady", help="number of users over time")
    parser.add_argument("--fault", action="append", choices=FAULTS, default=[], help="of the simulator; repeatable")
    parser.add_argument("--host", help="URL of a running service, whose key is in API_KEY, instead of starting one")
    parser.add_argument("--web", action="store_true", help="serve locust's page until Ctrl-C")
    options, others = parser.parse_known_args()
    if options.host and options.fault:
        parser.error("a fault is one of the simulator that is started without HOST")
    return options, others


@contextmanager
def _service(options: argparse.Namespace) -> Iterator[str]:
    """One worker with all signals on. A Ctrl-C does not reach it, nor what it needs, before locust has ended."""
    from loadtests.harness.environment import environment  # noqa: PLC0415 - takes a second, in which Ctrl-C may come

    shape = SHAPES[options.shape]
    with (
        tempfile.TemporaryDirectory(prefix="loadtest-", ignore_cleanup_errors=True) as folder,
        environment(Path(folder)) as real,
        real.service(shape.settings(options.users), workers=1) as workers,
    ):
        real.groq.fail(*shape.script(options.fault))
        yield workers.url


def _locust(options: argparse.Namespace, others: list[str], host: str) -> int:
    """In a process group of its own: a Ctrl-C on the terminal reaches it once, through this process."""
    report = _REPORTS / f"{time.strftime('%Y%m%d-%H%M%S')}-{options.shape}.html"
    arguments = [f"--host={host}", f"--users={options.users}", f"--shape={options.shape}", f"--html={report}"]
    arguments += ["--run-time=60s", "--stop-timeout=10", "--loglevel=ERROR", *others]
    arguments += ["--autostart", "--web-host=127.0.0.1"] if options.web else ["--headless", "--only-summary"]
    if options.web:
        print("locust's page: http://127.0.0.1:8089, until Ctrl-C", flush=True)
    command = [sys.executable, "-m", "locust", "-f", str(Path(__file__).with_name("locustfile.py")), *arguments]
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, process_group=0)
    while process.returncode is None:
        try:
            process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
    print(f"The report is in {report}.")
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())

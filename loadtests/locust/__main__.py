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
_PROJECT = Path(__file__).parents[2]
_LOCUSTFILE = Path(__file__).with_name("locustfile.py")
_STOP_TIMEOUT_S = 10


def main() -> int:
    options = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with nullcontext(options.host) if options.host else _service(options) as host:
            faults = f", with faults: {', '.join(options.faults)}" if options.faults else ""
            about = "which ran before" if options.host else f"one worker on PostgreSQL, a simulated Groq{faults}"
            print(f"{options.shape}: {SHAPES[options.shape].description}\nat {host}, {about}\n", flush=True)
            return _locust(options, host)
    except KeyboardInterrupt:
        return 130


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.locust", description="Runs a load test with locust, judged by the SLOs."
    )
    parser.add_argument(
        "--users", type=int, default=100, help="highest number of concurrent users (default: %(default)s)"
    )
    parser.add_argument(
        "--duration", default="60s", help="length of the test, such as 90s, 10m or 1h (default: %(default)s)"
    )
    parser.add_argument(
        "--shape", choices=SHAPES, default="steady", help="number of users over time (default: %(default)s)"
    )
    parser.add_argument(
        "--fault",
        dest="faults",
        action="append",
        choices=FAULTS,
        default=[],
        help="fault of the simulator; may be repeated",
    )
    parser.add_argument(
        "--host", default="", help="URL of a running service, whose key is in API_KEY (default: start one)"
    )
    parser.add_argument("--web", default="", help="1 serves locust's page until Ctrl-C")
    parser.add_argument("--processes", default="1", help="number of locust processes (default: %(default)s)")
    parser.add_argument("--words-per-s", type=float, default=4, help="reading speed of users (default: %(default)g)")
    options = parser.parse_args()
    if options.host and options.faults:
        parser.error("a fault is one of the simulator that is started without HOST")
    return options


@contextmanager
def _service(options: argparse.Namespace) -> Iterator[str]:
    """One worker with all signals on. A Ctrl-C does not reach it, nor what it needs, before locust has ended."""
    from loadtests.harness.environment import environment  # noqa: PLC0415 - takes a second, in which Ctrl-C may come

    shape = SHAPES[options.shape]
    with tempfile.TemporaryDirectory(prefix="loadtest-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # root runs PostgreSQL as another user
        with environment(folder) as real:
            real.groq.fail(*shape.script(options.faults))
            with real.service(shape.settings(options.users), workers=1) as workers:
                yield workers.url


def _locust(options: argparse.Namespace, host: str) -> int:
    """In a process group of its own: a Ctrl-C on the terminal reaches it once, through this process."""
    report = _REPORTS / f"{time.strftime('%Y%m%d-%H%M%S')}-{options.shape}.html"
    flags = {
        "-f": _LOCUSTFILE,
        "--host": host,
        "--users": options.users,
        "--run-time": options.duration,
        "--shape": options.shape,
        "--words-per-s": options.words_per_s,
        "--stop-timeout": _STOP_TIMEOUT_S,
        "--html": report,
        "--processes": options.processes,
        "--loglevel": "ERROR",
    }
    arguments = [str(part) for flag in flags.items() if flag != ("--processes", "1") for part in flag]
    web = options.web not in ("", "0")
    arguments += ["--autostart", "--web-host", "127.0.0.1"] if web else ["--headless", "--only-summary"]
    if web:
        print("locust's page: http://127.0.0.1:8089, until Ctrl-C", flush=True)
    command = [sys.executable, "-m", "locust", *arguments]
    env = os.environ | {"PYTHONPATH": str(_PROJECT)}
    process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, process_group=0)
    code = None
    while code is None:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
    print(f"The report is in {report}.")
    return code


if __name__ == "__main__":
    sys.exit(main())

"""`python -m loadtests.people`: exit code 0 if the promises are kept, 1 if not, 2 for what was asked wrongly."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from loadtests.people.faults import script
from loadtests.people.plan import Plan, plan
from loadtests.people.shapes import PLACES, SHAPES

REPORTS = Path("data") / "loadtest"
_PROJECT = Path(__file__).parents[2]
_LOCUSTFILE = Path(__file__).with_name("locustfile.py")
_WEB_PORT = 8089
_LAST_CHATS_S = 10
_SLOW = {"tokens_per_s": 60}
"""In an overload: answers of two seconds, so that places are taken for a while and not by many tokens."""


def main() -> int:
    asked = plan()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with nullcontext(asked.host) if asked.host else _started(asked) as host:
            print(_banner(asked, host), flush=True)
            return _locust(asked, host)
    except KeyboardInterrupt:
        return 130


@contextmanager
def _started(asked: Plan) -> Iterator[str]:
    """The service with one worker and all signals on, PostgreSQL and a simulated Groq, on free ports of loopback.

    They do not notice a Ctrl-C before locust has ended: what they would do then is no result.
    """
    from loadtests.chaos.stage import stage  # noqa: PLC0415 - takes a while, and a Ctrl-C may come meanwhile

    with tempfile.TemporaryDirectory(prefix="loadtest-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # root lends PostgreSQL to another user
        with stage(folder, apart=True) as real:
            overload = SHAPES[asked.shape].refusals
            real.groq.fail(*script(asked.faults, _SLOW if overload else None))
            env = {"MAX_ACTIVE_STREAMS": str(max(1, asked.users // PLACES))} if overload else {}
            with real.service(workers=1, env=env) as workers:
                yield workers.url


def _locust(asked: Plan, host: str) -> int:
    """In a process group of its own: a Ctrl-C on the terminal reaches it once, through this process."""
    report = REPORTS / f"{time.strftime('%Y%m%d-%H%M%S')}-{asked.shape}"
    options = {
        "-f": _LOCUSTFILE,
        "--host": host,
        "--users": asked.users,
        "--run-time": asked.seconds,
        "--shape": asked.shape,
        "--words-per-s": asked.words_per_s,
        "--stop-timeout": _LAST_CHATS_S,
        "--about": _about(asked),
        "--report": report.with_suffix(".html"),
        "--json-file": report,  # instead of its own table: ours comes from the same figures
        "--loglevel": "ERROR",
    }
    arguments = [str(part) for option in options.items() for part in option] + ["--only-summary", *_page(asked)]
    arguments += ["--processes", str(asked.processes)] if asked.processes > 1 else []
    process = subprocess.Popen(
        [sys.executable, "-m", "locust", *arguments],
        env=os.environ | {"PYTHONPATH": str(_PROJECT)},
        stdin=subprocess.DEVNULL,
        process_group=0,
    )
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)


def _page(asked: Plan) -> list[str]:
    if not asked.web:
        return ["--headless"]
    port = _WEB_PORT if _is_free(_WEB_PORT) else _free_port()
    print(f"locust's page: http://127.0.0.1:{port}, until Ctrl-C", flush=True)
    return ["--autostart", "--web-host", "127.0.0.1", "--web-port", str(port)]


def _is_free(port: int) -> bool:
    with socket.socket() as knock:
        return knock.connect_ex(("127.0.0.1", port)) != 0


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def _banner(asked: Plan, host: str) -> str:
    shape = f"{asked.shape}: {SHAPES[asked.shape].told}"
    return f"{asked.users} users for {asked.seconds} s, {shape}\nat {host}, {_about(asked)}\n"


def _about(asked: Plan) -> str:
    if asked.host:
        return "which runs already"
    faults = f" with faults: {', '.join(asked.faults)}" if asked.faults else ""
    return f"one worker on PostgreSQL before a simulated Groq{faults}"


if __name__ == "__main__":
    sys.exit(main())

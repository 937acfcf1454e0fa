"""`python -m loadtests.people.honesty`: how many users one locust process can drive before it measures itself.

locust asks a Groq that is cheap enough never to be what is measured, with no service between, and a bare client asks
beside it. What locust's times to the first token have more than the bare client's is locust's own.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from loadtests.bench.clients import Crowd
from loadtests.bench.load import Load
from loadtests.bench.machine import cpu_s, description
from loadtests.bench.report import aligned
from loadtests.overload.crowd import percentile
from tests.support.processes import PROJECT, program

USERS = (50, 100, 200, 400)
_SETTLED_S, _MEASURED_S, _REST_S = 15, 20, 5
_LOAD = Load(tokens=120, rate=750, first_ms=50)
_BESIDE = Load(tokens=120, rate=750, first_ms=50, arrivals_per_s=5)
_PATH = "/openai/v1/chat/completions"
_PERCENTILES = (50, 95, 99)
_COLUMNS = ["users", "chats/s", "of a core", "a chat", "p50 ms", "p95", "p99", "bare p50 ms", "p95", "p99"]


def main() -> int:
    print(f"{description()}\n{_LOAD.tokens} tokens an answer, {_LOAD.rate:g} a second, read as people read")
    with (
        tempfile.TemporaryDirectory(prefix="honesty-") as name,
        program(["loadtests.bench.upstream"], cwd=Path(name), show=lambda _: None) as upstream,
    ):
        body = []
        for users in USERS:
            print(f"{users} users for {_SETTLED_S + _MEASURED_S + _REST_S} s ...", flush=True)
            body.append(_measure(users, Path(name), upstream.url()))
    print(f"\n{aligned(_COLUMNS, body)}")
    return 0


def _measure(users: int, folder: Path, url: str) -> list[str]:
    process = _locust(users, folder, url.removesuffix("/openai/v1"))
    time.sleep(_SETTLED_S)
    began, cpu = time.monotonic(), cpu_s(process.pid)
    beside = Crowd(("127.0.0.1", urlsplit(url).port or 0), _PATH, _BESIDE.lasting(_MEASURED_S)).run().good
    core = (cpu_s(process.pid) - cpu) / (time.monotonic() - began)
    process.wait()
    first = _rows(folder)["time to first token"]
    rate = first["num_requests"] / (_SETTLED_S + _MEASURED_S + _REST_S)
    seen = {float(time_ms): count for time_ms, count in first["response_times"].items()}
    theirs = [_percentile(seen, each) for each in _PERCENTILES]
    bare = [percentile([chat.first_token_s * 1000 for chat in beside], each) for each in _PERCENTILES]
    times = [f"{each:.1f}" for each in (*theirs, *bare)]
    return [str(users), f"{rate:.1f}", f"{100 * core:.0f} %", f"{1000 * core / rate:.1f} ms", *times]


def _locust(users: int, folder: Path, host: str) -> subprocess.Popen[bytes]:
    options = {
        "-f": Path(__file__).with_name("locustfile.py"),
        "-H": host,
        "-u": users,
        "-t": _SETTLED_S + _MEASURED_S + _REST_S,
        "--path": _PATH,
        "--prompt": _LOAD.text,
        "--leavers": 0,
        "--loglevel": "ERROR",
        "--json-file": folder / "rows",
    }
    arguments = [str(part) for option in options.items() for part in option]
    return subprocess.Popen(
        [sys.executable, "-m", "locust", "--headless", "--only-summary", *arguments],
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )


def _rows(folder: Path) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in json.loads((folder / "rows.json").read_text())}


def _percentile(seen: Mapping[float, int], percent: int) -> float:
    below = 0
    for time_ms in sorted(seen):
        below += seen[time_ms]
        if below >= sum(seen.values()) * percent / 100:
            return time_ms
    return float("nan")


if __name__ == "__main__":
    sys.exit(main())

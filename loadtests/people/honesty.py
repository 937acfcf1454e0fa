"""`python -m loadtests.people.honesty`: how many users one locust process can drive before it measures itself.

locust asks a Groq that is cheap enough never to be what is measured, without the service between. What its times to the
first token have more than those of a bare client, at the same rate of chats, is locust's own.
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

import psutil

from loadtests.bench.clients import Crowd
from loadtests.bench.load import Load
from loadtests.bench.machine import description
from loadtests.bench.report import aligned
from loadtests.overload.crowd import percentile
from tests.support.processes import PROJECT, program

USERS = (100, 200, 400, 600, 800, 1200)
_SECONDS = 40
_SETTLED_S = 15  # they come for ten seconds
_LOAD = Load(tokens=120, rate=750, first_ms=50)
_PATH = "/openai/v1/chat/completions"
_LOCUSTFILE = Path(__file__).with_name("locustfile.py")
_COLUMNS = ["users", "chats/s", "of a core", "p50 ms", "p95 ms", "p99 ms", "bare p50", "p95", "p99"]


def main() -> int:
    print(
        f"{description()}\n{_LOAD.tokens} tokens an answer, {_LOAD.rate:g} a second, read as people read\n", flush=True
    )
    with (
        tempfile.TemporaryDirectory(prefix="honesty-") as name,
        program(["loadtests.bench.upstream"], cwd=Path(name), show=lambda _: None) as upstream,
    ):
        body = []
        for users in USERS:
            body.append(_measure(users, Path(name), upstream.url()))
            print(f"{users} users: locust took {body[-1][2]} of a core", flush=True)
    print(f"\n{aligned(_COLUMNS, body)}")
    return 0


def _measure(users: int, folder: Path, url: str) -> list[str]:
    rows, cores = _locust(users, folder, url.removesuffix("/openai/v1"))
    first = rows["time to first token"]
    rate = first["num_requests"] / _SECONDS
    seen = {float(time_ms): count for time_ms, count in first["response_times"].items()}
    theirs = [_percentile(seen, p) for p in (50, 95, 99)]
    chats = Crowd(("127.0.0.1", urlsplit(url).port or 0), _PATH, _bare(rate)).run().good
    bare = [percentile([chat.first_token_s * 1000 for chat in chats], p) for p in (50, 95, 99)]
    return [str(users), f"{rate:.1f}", f"{100 * cores:.0f} %", *(f"{each:.4g}" for each in (*theirs, *bare))]


def _locust(users: int, folder: Path, host: str) -> tuple[dict[str, dict[str, Any]], float]:
    """Its rows by name, and how much of a core it took once everybody was there."""
    options = ["-H", host, "-u", str(users), "-t", str(_SECONDS), "--path", _PATH, "--prompt", _LOAD.text]
    quiet = [
        "--leavers",
        "0",
        "--headless",
        "--only-summary",
        "--loglevel",
        "ERROR",
        "--json-file",
        str(folder / "rows"),
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "locust", "-f", str(_LOCUSTFILE), *options, *quiet],
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    time.sleep(_SETTLED_S)
    began, cpu = time.monotonic(), sum(psutil.Process(process.pid).cpu_times()[:2])
    time.sleep(_SECONDS - _SETTLED_S - 5)
    took = sum(psutil.Process(process.pid).cpu_times()[:2]) - cpu
    cores = took / (time.monotonic() - began)
    process.wait()
    rows = json.loads((folder / "rows.json").read_text())
    return {row["name"]: row for row in rows}, cores


def _bare(rate: float) -> Load:
    return Load(tokens=_LOAD.tokens, rate=_LOAD.rate, first_ms=_LOAD.first_ms, arrivals_per_s=rate).lasting(10)


def _percentile(seen: Mapping[float, int], percent: int) -> float:
    below = 0
    for time_ms in sorted(seen):
        below += seen[time_ms]
        if below >= sum(seen.values()) * percent / 100:
            return time_ms
    return float("nan")


if __name__ == "__main__":
    sys.exit(main())

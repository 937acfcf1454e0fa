"""`python -m tests.repeat`: repeats the tests of `make test` in random order, to find flaky ones.

`--hog N` runs N processes that use the CPU meanwhile. `--ignore-sigint` starts the tests with SIGINT ignored, as in the
background of a shell script.
"""

import argparse
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tests.support.processes import PROJECT

_PYTEST = [sys.executable, "-m", "pytest", "--numprocesses=auto", "-m", "not long and not needs", "-p", "randomly"]
_HOG = [sys.executable, "-c", "while True: pass"]


def main() -> int:
    """Runs all repetitions and returns 1 if one failed."""
    options = _parser().parse_args()
    results = []
    with _hogs(options.hog):
        for number in range(1, options.times + 1):
            seed, began = random.randrange(2**32), time.monotonic()
            print(f"run {number} of {options.times}", flush=True)
            passed = _run([*_PYTEST, f"--randomly-seed={seed}", *options.pytest], ignore_sigint=options.ignore_sigint)
            results.append(_Result(seed, time.monotonic() - began, passed))
    for result in results:
        print(f"{'passed' if result.passed else 'FAILED'} in {result.seconds:.0f} s, seed {result.seed}")
    failed = sum(not result.passed for result in results)
    print(f"{failed} of {len(results)} runs failed")
    return int(failed > 0)


class _Result(NamedTuple):
    seed: int
    seconds: float
    passed: bool


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.repeat", description="Find flaky tests.")
    parser.add_argument("--times", type=int, default=10, help="number of runs (default: %(default)s)")
    parser.add_argument("--hog", type=int, default=0, metavar="N", help="run N processes that use the CPU")
    parser.add_argument("--ignore-sigint", action="store_true", help="start the tests with SIGINT ignored")
    parser.add_argument("pytest", nargs="*", help="arguments of pytest after --, for example paths of tests")
    return parser


def _run(command: list[str], *, ignore_sigint: bool) -> bool:
    """Whether all tests passed. If this process is interrupted, it terminates the tests."""
    before = signal.getsignal(signal.SIGINT)
    if ignore_sigint:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the child inherits that
    with subprocess.Popen(command, cwd=PROJECT) as tests:
        signal.signal(signal.SIGINT, before)
        try:
            return tests.wait() == 0
        except KeyboardInterrupt:
            tests.terminate()
            raise


@contextmanager
def _hogs(count: int) -> Iterator[None]:
    running = [subprocess.Popen(_HOG) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())

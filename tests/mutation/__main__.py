"""`python -m tests.mutation`: runs the tests of a sample of mutants in copies of the project, and lists survivors."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from tests.mutation.mutants import Mutant, mutants
from tests.mutation.run import PytestRun, import_libraries
from tests.mutation.targets import TARGETS, Target

_PROJECT = Path(__file__).parents[2]
_Sample = list[tuple[Mutant, Target]]


def main() -> int:
    """Exit code 1 if the tests fail without a mutation."""
    options = _parser().parse_args()
    ends = time.monotonic() + 60 * options.minutes
    sample = _sample(options.modules, size=options.sample, seed=options.seed)
    import_libraries()
    with tempfile.TemporaryDirectory() as folder:
        copies = [_copied(Path(folder) / "0")]
        limits = {target: _limit_s(target, copies[0]) for target in TARGETS if target in {each[1] for each in sample}}
        if None in limits.values():
            return 1
        copies += [shutil.copytree(copies[0], Path(folder) / str(number)) for number in range(1, options.jobs)]
        _report(_results(sample, copies, {target: limit for target, limit in limits.items() if limit}, ends=ends))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description="Find code that no test needs.")
    parser.add_argument("--sample", type=int, default=300, help="number of mutants (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed chooses the same mutants")
    parser.add_argument("--minutes", type=float, default=50, help="start no mutant later (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="mutants at a time (default: the cores)")
    parser.add_argument("modules", nargs="*", help="only these modules, for example app/db/writer.py")
    return parser


def _sample(modules: list[str], *, size: int, seed: int) -> _Sample:
    """Chosen by their keys: a change of other code leaves the sample as it is."""
    everything = [
        (mutant, target)
        for target in TARGETS
        for path in target.modules
        if not modules or path in modules
        for mutant in mutants(path, project=_PROJECT, seed=seed)
    ]
    return sorted(everything, key=lambda each: each[0].key)[:size]


def _copied(folder: Path) -> Path:
    """The files that git knows or would add."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=_PROJECT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (_PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(_PROJECT / name, folder / name)
    return folder


def _limit_s(target: Target, copy: Path) -> float | None:
    """The time after which a mutant counts as killed; None if the tests fail without a mutation."""
    began = time.monotonic()
    run = PytestRun(target.tests, copy, limit_s=600, writes_bytecode=True)
    while not run.poll():
        time.sleep(0.05)
    return 30 + 3 * (time.monotonic() - began) if run.passed else None


def _results(
    sample: _Sample, copies: list[Path], limits: dict[Target, float], *, ends: float
) -> Iterator[tuple[Mutant, str]]:
    """Yields each mutant with what became of it, and prints the survivors."""
    waiting, running = list(reversed(sample)), dict[Path, tuple[Mutant, PytestRun]]()
    try:
        while running or (waiting and time.monotonic() < ends):
            for copy in copies:
                if copy not in running and waiting and time.monotonic() < ends:
                    mutant, target = waiting.pop()
                    (copy / mutant.path).write_text(mutant.source())
                    running[copy] = mutant, PytestRun(target.tests, copy, limit_s=limits[target])
            time.sleep(0.05)
            for copy, (mutant, run) in [each for each in running.items() if each[1][1].poll()]:
                del running[copy]
                shutil.copy2(_PROJECT / mutant.path, copy / mutant.path)
                if run.passed:
                    print(mutant.diff(), flush=True)
                yield mutant, "survived" if run.passed else "timeout" if run.timed_out else "killed"
    finally:
        for _, run in running.values():
            run.stop()
    yield from ((mutant, "not run") for mutant, _ in waiting)


def _report(results: Iterable[tuple[Mutant, str]]) -> None:
    """The score is the share of killed mutants; those that ran out of time are among them."""
    counts: dict[str, Counter[str]] = {}
    with suppress(KeyboardInterrupt):  # the report is that of the mutants so far
        for mutant, result in results:
            for row in (mutant.path, "all"):
                counts.setdefault(row, Counter())[result] += 1
    columns = ("killed", "timeout", "survived", "not run")
    print(f"{'':32}", *(f"{each:>8}" for each in columns), "score")
    for row, count in sorted(counts.items()):
        killed = count["killed"] + count["timeout"]
        score = killed / max(1, killed + count["survived"])
        print(f"{row:32}", *(f"{count[each]:8}" for each in columns), f"{score:5.0%}")


if __name__ == "__main__":
    sys.exit(main())

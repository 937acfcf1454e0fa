"""`python -m loadtests.bench`: exit code 0 if every chat ended well and every signal was on, however fast that was."""

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from loadtests.bench.machine import Cores, description
from loadtests.bench.plan import QUICK, Plan
from loadtests.bench.report import Section, as_markdown, on_terminal, write_between
from loadtests.bench.sections import SECTIONS
from loadtests.bench.stage import stage
from tests.support.processes import PROJECT

REPORT = PROJECT / "docs" / "performance.md"
_PACKAGES = ["fastapi", "starlette", "uvicorn", "uvloop", "aiohttp", "openai", "opentelemetry-sdk"]


def main() -> int:
    options = _options()
    cores = Cores(options.server_cores, options.ends_cores) if options.server_cores else Cores.of_this_machine()
    print(f"{description()}\n{cores.told}", flush=True)
    began = time.monotonic()
    sections, problems = _run(options.only, QUICK if options.quick else Plan(), cores)
    print(f"\n{on_terminal(sections)}\n")
    if problems:
        print("\n".join(problems))
        return 1
    if not options.quick and options.only == list(SECTIONS):
        write_between(REPORT, as_markdown(sections, _facts(cores, time.monotonic() - began)))
        print(f"Written to {REPORT}.")
    return 0


def _run(names: Sequence[str], plan: Plan, cores: Cores) -> tuple[list[Section], list[str]]:
    """The sections, and what went wrong on the way."""
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # root lends PostgreSQL to another user
        with stage(folder, cores, say=lambda line: print(line, flush=True)) as real:
            return [SECTIONS[each](real, plan) for each in names], real.problems


def _facts(cores: Cores, took_s: float) -> list[str]:
    return [
        f"{datetime.now(UTC):%Y-%m-%d}, `make bench`, {took_s / 60:.0f} minutes",
        f"{description()}; {cores.told}",
        f"Python {platform.python_version()}; {', '.join(f'{each} {version(each)}' for each in _PACKAGES)}",
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench", description="What the service costs.")
    parser.add_argument("--only", type=_names, default=list(SECTIONS), help=f"some of: {','.join(SECTIONS)}")
    parser.add_argument("--quick", action="store_true", help="shorter, and less exact")
    parser.add_argument("--server-cores", type=_numbers, default=[], help="where servers run, for example 0")
    parser.add_argument("--ends-cores", type=_numbers, default=[], help="where all else runs, for example 1,2")
    options = parser.parse_args()
    if bool(options.server_cores) != bool(options.ends_cores):
        parser.error("--server-cores and --ends-cores go together")
    return options


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(SECTIONS):
        raise argparse.ArgumentTypeError(f"no {', '.join(sorted(unknown))} among {', '.join(SECTIONS)}")
    return names


def _numbers(text: str) -> list[int]:
    return [int(each) for each in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())

"""`python -m loadtests.bench`: exit code 0 if every chat ended well and every signal was on, however fast that was."""

import argparse
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from loadtests.bench.compare import compare
from loadtests.bench.sections import QUICK, SECTIONS, Plan, Section
from loadtests.bench.stage import CannotCheckOut, foreign_cpu_s, machine, stage
from tests.support.processes import PROJECT

REPORT = PROJECT / "docs" / "performance.md"
_BEGIN, _END = "<!-- make bench: begin -->", "<!-- make bench: end -->"
_PACKAGES = ["fastapi", "starlette", "uvicorn", "uvloop", "aiohttp", "openai", "opentelemetry-sdk"]
_BASE = Plan(rounds=4, run_s=4)
_NO_TENSORZERO = "TensorZero is not measured: docs/performance.md says how to get its program, for TENSORZERO=..."


def main() -> int:
    options = _options()
    plan = QUICK if options.quick else _BASE if options.base else Plan()
    plan = replace(plan, rounds=options.rounds or plan.rounds)
    began, foreign_s = time.monotonic(), foreign_cpu_s()
    print(machine(), flush=True)
    if not (options.tensorzero or options.base):
        print(_NO_TENSORZERO, flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # ends what it has started first
    try:
        sections, problems = _measured(options, plan)
    except KeyboardInterrupt:
        return 130
    except CannotCheckOut as exc:
        sys.stderr.write(
            f"BASE={options.base} cannot be measured. Is it a commit, tag or branch of this repository? {exc}\n"
        )
        return 2
    text = "\n\n".join(map(str, sections))
    took_s = time.monotonic() - began
    busy = (foreign_cpu_s() - foreign_s) / took_s
    print(f"\n{text}\n\n{took_s / 60:.0f} minutes. PostgreSQL and other programs used {busy:.0%} of a core.")
    if problems:
        print("\n".join(problems))
        return 1
    if not (options.only or options.quick or options.base):
        _write(text, took_s / 60)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.bench", description="Measures the cost of tokens and chats."
    )
    parser.add_argument("--only", action="append", choices=SECTIONS, help="section to run, not all; may be repeated")
    parser.add_argument("--quick", action="store_true", help="run fewer rounds; the results are less exact")
    rounds = f"of the cost, or of a comparison (default: {Plan.rounds}, or {_BASE.rounds})"
    parser.add_argument("--rounds", type=int, help=rounds)
    parser.add_argument("--base", metavar="REVISION", help="compare with this commit, tag or branch instead")
    parser.add_argument("--base-python", default=sys.executable, help="the interpreter of its environment")
    parser.add_argument("--tensorzero", type=_program, metavar="PROGRAM", help="measure TensorZero's gateway, too")
    options = parser.parse_args()
    if options.rounds is not None and options.rounds < 1:
        parser.error(f"{options.rounds} is no number of rounds")
    return options


def _measured(options: argparse.Namespace, plan: Plan) -> tuple[Sequence[Section], Sequence[str]]:
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        base, python = options.base, options.base_python
        with stage(Path(folder), base=base, base_python=python, tensorzero=options.tensorzero) as real:
            if base:
                return [compare(real, plan, base)], real.problems
            return [SECTIONS[each](real, plan) for each in options.only or SECTIONS], real.problems


def _write(text: str, minutes: float) -> None:
    packages = ", ".join(f"{each} {version(each)}" for each in _PACKAGES)
    facts = f"- {datetime.now(UTC):%Y-%m-%d}, {minutes:.0f} minutes; Python {platform.python_version()}, {packages}"
    before, _, rest = REPORT.read_text().partition(_BEGIN)
    _, end, after = rest.partition(_END)
    REPORT.write_text(f"{before}{_BEGIN}\n{facts}\n- {machine()}\n\n{text}\n{end}{after}")
    print(f"Written to {REPORT}.")


def _program(text: str) -> str:
    if (path := shutil.which(text)) is None:
        raise argparse.ArgumentTypeError(f"{text} is no program that can be executed")
    return str(Path(path).resolve())


if __name__ == "__main__":
    sys.exit(main())

"""`python -m loadtests.bench`: exit code 0 if every chat ended well and every signal was on, however fast that was."""

import argparse
import platform
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from loadtests.bench.sections import QUICK, SECTIONS, Plan
from loadtests.bench.stage import machine, stage
from tests.support.processes import PROJECT

REPORT = PROJECT / "docs" / "performance.md"
_BEGIN, _END = "<!-- make bench: begin -->", "<!-- make bench: end -->"
_PACKAGES = ["fastapi", "starlette", "uvicorn", "uvloop", "aiohttp", "openai", "opentelemetry-sdk"]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.bench", description="Measures the cost of tokens and chats."
    )
    parser.add_argument(
        "--only",
        type=_names,
        default=list(SECTIONS),
        help=f"sections to run, separated by commas (default: {','.join(SECTIONS)})",
    )
    parser.add_argument("--quick", action="store_true", help="run fewer rounds; the results are less exact")
    options = parser.parse_args()
    began = time.monotonic()
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # root runs PostgreSQL as another user
        with stage(folder) as real:
            sections = [SECTIONS[each](real, QUICK if options.quick else Plan()) for each in options.only]
    text = "\n\n".join(map(str, sections))
    print(f"\n{text}\n")
    if real.problems:
        print("\n".join(real.problems))
        return 1
    if not options.quick and options.only == list(SECTIONS):
        packages = ", ".join(f"{each} {version(each)}" for each in _PACKAGES)
        minutes = (time.monotonic() - began) / 60
        facts = f"- {datetime.now(UTC):%Y-%m-%d}, {minutes:.0f} minutes; Python {platform.python_version()}, {packages}"
        before, _, rest = REPORT.read_text().partition(_BEGIN)
        _, end, after = rest.partition(_END)
        REPORT.write_text(f"{before}{_BEGIN}\n{facts}\n- {machine()}\n\n{text}\n{end}{after}")
        print(f"Written to {REPORT}.")
    return 0


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(SECTIONS):
        raise argparse.ArgumentTypeError(f"no {', '.join(sorted(unknown))} among {', '.join(SECTIONS)}")
    return names


if __name__ == "__main__":
    sys.exit(main())

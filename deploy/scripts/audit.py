"""Fails if a locked package has a known vulnerability, and also if that could not be found out for each of them.

pip-audit alone passes where its advisory service skips packages: `--strict` makes most of that an error, and the rest
is compared here.
"""

import json
import re
import subprocess  # nosec B404
import sys
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
LOCKS = ("requirements.txt", "requirements-dev.txt", "requirements-uv.txt")
_PIN = re.compile(r"^([\w.-]+)==(\S+)(?: ; (.*?))? ?\\?$", re.MULTILINE)
_SCANNER = [sys.executable, "-m", "pip_audit", "--strict", "--disable-pip", "--require-hashes", "--format", "json"]


def main() -> None:
    """Exits with one line for each vulnerability and each package that was not looked up."""
    found: list[str] = []
    for name in LOCKS:
        lock = PROJECT / name
        scanned = subprocess.run([*_SCANNER, "-r", lock], capture_output=True, text=True, check=False)  # noqa: S603 # nosec B603
        problems = report(lock.read_text(encoding="utf-8"), scanned.stdout)
        if scanned.returncode and not any("fixed in" in problem for problem in problems):
            reason = (scanned.stderr.strip().splitlines() or [f"exit code {scanned.returncode}"])[-1]
            problems = [f"{problems[0] if problems else 'the scanner failed'} ({reason})", *problems[1:]]
        found += [f"{name}: {problem}" for problem in problems]
    if found:
        sys.exit("\n".join(found))
    print("no known vulnerability in the locked packages")


def report(lock: str, output: str) -> list[str]:
    """The problems in pip-audit's JSON, and the packages of the lock that it has no answer for."""
    try:
        answers: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return ["the scanner gave no answer"]
    known = [each for each in answers if isinstance(each.get("vulns"), list) and "skip_reason" not in each]
    vulnerable = [
        f"{each['name']} {each['version']}: {vulnerability['id']}, fixed in {vulnerability.get('fix_versions')}"
        for each in known
        for vulnerability in each["vulns"]
    ]
    missing = sorted(_pinned(lock) - {_normal(each["name"]) for each in known})
    return vulnerable + [f"{name} was not looked up" for name in missing]


def _pinned(lock: str) -> set[str]:
    """The packages of the lock that this platform installs: pip-audit does not look at the others."""
    from packaging.markers import Marker  # noqa: PLC0415 - a dependency of pip-audit

    return {_normal(name) for name, _, marker in _PIN.findall(lock) if not marker or Marker(marker).evaluate()}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main()

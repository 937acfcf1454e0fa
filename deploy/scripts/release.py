"""Prints the CHANGELOG's section of a version, if every file names that version: `make release-notes VERSION=1.2.3`."""

import re
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]
_VERSIONED = {
    "pyproject.toml": r'^version = "(.+)"$',
    "app/__init__.py": r'^__version__ = "(.+)"$',
    "deploy/k8s/overlays/production/kustomization.yaml": r"^ +newTag: (\S+)$",
}


def main() -> None:
    """Exits with one sentence for each file that is not ready for the release."""
    [_, version] = sys.argv
    problems = [f"{name} names {found}, not {version}" for name, found in _versions() if found != version]
    if re.search(r"^FROM python:[^@\s]+( |$)", (PROJECT / "Dockerfile").read_text(), re.MULTILINE):
        problems.append("Dockerfile: the base image has no digest; `make pin` adds it")
    if not (notes := _section(version)):
        problems.append(f"CHANGELOG.md has no section '## {version}'")
    if problems:
        sys.exit("\n".join(problems))
    print(notes)


def _versions() -> list[tuple[str, str | None]]:
    found = {name: re.search(form, (PROJECT / name).read_text(), re.MULTILINE) for name, form in _VERSIONED.items()}
    return [(name, match and match[1]) for name, match in found.items()]


def _section(version: str) -> str:
    text = (PROJECT / "CHANGELOG.md").read_text()
    match = re.search(rf"^## {re.escape(version)}\b.*\n((?:(?!## ).*\n?)*)", text, re.MULTILINE)
    return match[1].strip() if match else ""


if __name__ == "__main__":
    main()

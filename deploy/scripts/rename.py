"""Gives a copy of the project its own name: `make rename NAME=my-chat TITLE="My chat" REPOSITORY=me/my-chat`.

It changes the tracked files, and leaves LICENSE, whose notice the licence requires, and CHANGELOG.md, which is history.
"""

import argparse
import re
import subprocess  # nosec B404
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]
_UNCHANGED = {"LICENSE", "CHANGELOG.md", "deploy/scripts/rename.py", "tests/test_rename.py"}
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


def main() -> None:
    """Exits with a sentence for a value that Kubernetes or the registry would refuse."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="of the service: lower-case letters, digits and '-'")
    parser.add_argument("--title", default="", help="for people; by default the name")
    parser.add_argument("--repository", default="", help="OWNER/NAME on the host of the repository")
    options = parser.parse_args()
    if not _NAME.fullmatch(options.name):
        sys.exit(f"NAME: '{options.name}' is no name for Kubernetes: 1 to 40 lower-case letters, digits and '-'")
    if options.repository and not _REPOSITORY.fullmatch(options.repository):
        sys.exit(f"REPOSITORY: '{options.repository}' is not OWNER/NAME")
    changed = rename(options.name, options.title or options.name, options.repository)
    if not changed:
        sys.exit("nothing has the old name: the project was renamed before")
    print(f"renamed in {len(changed)} files; `git diff` shows them, `make format lint` checks them")


def rename(name: str, title: str, repository: str) -> list[Path]:
    """Returns the changed files."""
    # In this order: each pattern is part of the one before it.
    replaced = {"OWNER/groq-stream-fastapi": repository or f"OWNER/{name}"}
    replaced |= {"groq-stream-fastapi": name, "groq-stream": name, "Groq, streamed": title}
    pattern = re.compile("|".join(replaced))
    changed = []
    for path in _tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:  # a picture
            continue
        if (new := pattern.sub(lambda found: replaced[found[0]], text)) != text:
            path.write_text(new, encoding="utf-8")
            changed.append(path)
    return changed


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True)  # noqa: S607 # nosec B603 B607
    return [PROJECT / name for name in listed.stdout.split("\0") if name and name not in _UNCHANGED]


if __name__ == "__main__":
    main()

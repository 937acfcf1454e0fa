"""Copies of the project, which tests change and run."""

import shutil
import subprocess
from importlib.util import cache_from_source
from pathlib import Path

from tests.support.processes import PROJECT


def tracked() -> list[str]:
    """The paths of the project's files that exist."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split("\0") if name and (PROJECT / name).is_file()]


def copy_project(folder: Path) -> Path:
    """Copies all of the project's files into the folder, and returns it.

    Compiled modules are copied too: compiling them takes a program most of a second. Python ignores those whose source
    has another time than the copied one, so a module that a test changes is compiled again.
    """
    for name in tracked():
        compiled = Path(cache_from_source(name)) if name.endswith(".py") else None
        for each in (name, compiled):
            if each and (PROJECT / each).is_file():
                target = folder / each
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(PROJECT / each, target)
    return folder

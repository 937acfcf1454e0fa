"""Copies of the project, which tests change and run."""

import shutil
import subprocess
from pathlib import Path

from tests.support.processes import PROJECT


def tracked() -> list[str]:
    """The paths of the project's files that exist."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split("\0") if name and (PROJECT / name).is_file()]


def copy_project(folder: Path) -> Path:
    """Copies all of the project's files into the folder, and returns it."""
    for name in tracked():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, target)
    return folder

"""A revision of this service, with an environment and a database of its own."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.database import execute
from tests.support.postgres import Postgres
from tests.support.processes import PROJECT


class CannotCheckOut(Exception):
    """The text says which command failed, and how."""


@dataclass(frozen=True)
class Checkout:
    """`root` has its files, `python` its libraries, and the database its tables."""

    root: Path
    python: str
    database_url: str

    @property
    def version(self) -> str:
        """`Python 3.13.5`."""
        return subprocess.check_output([self.python, "-V"], text=True).strip()


@contextmanager
def worktree(revision: str, folder: Path, python: str, *, project: Path = PROJECT) -> Iterator[Path]:
    """The files of a revision in a new folder, with the environment of `make .venv/run`. Removes them at the end.

    Raises CannotCheckOut.
    """
    root = folder / "base"
    git = ["git", "-c", "core.hooksPath=/dev/null", "worktree"]
    try:
        print(f"base: {revision} and its environment ...", flush=True)
        _run([*git, "add", "--quiet", "--detach", root, f"{revision}^{{commit}}"], project)
        _run(["make", f"PYTHON={python}", ".venv/run"], root)
        yield root
    finally:  # git reports nothing to remove if the revision is unknown
        subprocess.run([*git, "remove", "--force", root], cwd=project, stderr=subprocess.DEVNULL, check=False)


def migrated(root: Path, postgres: Postgres) -> Checkout:
    """With a database of its own, and the tables of its own migrations."""
    execute(postgres.url(), "CREATE DATABASE base")
    checkout = Checkout(root, str(root / ".venv" / "bin" / "python"), postgres.url("base"))
    _run([checkout.python, "-m", "app", "migrate"], cwd=root, DATABASE_URL=checkout.database_url)
    return checkout


def _run(command: Sequence[str | Path], cwd: Path, **env: str) -> None:
    """Without the variables of the `make` that has started this program."""
    inherited = {name: text for name, text in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(command, cwd=cwd, env=inherited | env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotCheckOut(f"{command[0]} failed:\n{(done.stdout + done.stderr).strip()}")

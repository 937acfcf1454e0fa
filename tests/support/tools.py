"""Programs that are not Python packages, where they are installed or unpacked."""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest


def tool(name: str, *other_names: str) -> Path:
    """The path of a program in `TOOLS_PATH` or `PATH`, under one of its names.

    Skips the test if it is missing, or fails it if `REQUIRE_TOOLS` is set, as in CI.
    """
    folders = [os.environ.get("TOOLS_PATH"), os.environ.get("PATH")]
    where = os.pathsep.join(filter(None, folders))
    found = next(filter(None, (shutil.which(each, path=where) for each in (name, *other_names))), None)
    if found is None:
        do_without(f"{name} is not installed; install it, or set TOOLS_PATH to its folder")
    return Path(found)


def do_without(missing: str) -> NoReturn:
    """Skips the test, or fails it if `REQUIRE_TOOLS` is set."""
    if os.environ.get("REQUIRE_TOOLS"):
        pytest.fail(missing)
    pytest.skip(missing)


def libraries(of: Path) -> dict[str, str]:
    """The environment for a program whose libraries were unpacked to `../lib`."""
    folders = [str(folder) for folder in sorted(of.parents[1].glob("lib/*-linux-gnu*"))]
    return {"LD_LIBRARY_PATH": os.pathsep.join(folders)} if folders else {}

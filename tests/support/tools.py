"""Programs that are no Python packages: the tests use them where they are installed, or unpacked."""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest


def tool(name: str, *other_names: str) -> Path:
    """Where it is, in the folder `TOOLS_PATH` or on the `PATH`; some systems have it by another name.

    Where it is missing, the test that asks is skipped; with `REQUIRE_TOOLS` set, as in CI, it fails.
    """
    folders = [os.environ.get("TOOLS_PATH"), os.environ.get("PATH")]
    where = os.pathsep.join(filter(None, folders))
    found = next(filter(None, (shutil.which(each, path=where) for each in (name, *other_names))), None)
    if found is None:
        do_without(f"{name} is not installed; TOOLS_PATH may name a folder that has it")
    return Path(found)


def do_without(missing: str) -> NoReturn:
    """The test that asks for what is missing is skipped, or fails."""
    if os.environ.get("REQUIRE_TOOLS"):
        pytest.fail(missing)
    pytest.skip(missing)


def libraries(of: Path) -> dict[str, str]:
    """The environment in which it finds what was unpacked beside it, in `../lib`."""
    folders = [str(folder) for folder in sorted(of.parents[1].glob("lib/*-linux-gnu*"))]
    return {"LD_LIBRARY_PATH": os.pathsep.join(folders)} if folders else {}

"""Programs that are no Python packages: the tests use them where they are installed."""

import os
import shutil
from pathlib import Path

import pytest


def tool(name: str) -> Path:
    """Where it is, in the folder `TOOLS_PATH` or on the `PATH`.

    Where it is missing, the test that asks is skipped; with `REQUIRE_TOOLS` set, as in CI, it fails.
    """
    folders = [os.environ.get("TOOLS_PATH"), os.environ.get("PATH")]
    if found := shutil.which(name, path=os.pathsep.join(filter(None, folders))):
        return Path(found)
    missing = f"{name} is not installed; TOOLS_PATH may name a folder that has it"
    if os.environ.get("REQUIRE_TOOLS"):
        pytest.fail(missing)
    pytest.skip(missing)

"""Commands whose reader ends first, as in `make chats | head`, and commands without a value."""

import os
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from tests.commands.client import FREE_PORT, chat
from tests.support.processes import PROJECT, program
from tests.support.starting import environment


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, http: httpx2.Client) -> Path:
    """With the row of a chat."""
    folder = tmp_path_factory.mktemp("pipes")
    with program(["app"], cwd=folder, env=FREE_PORT) as running:
        chat(http, running.url())
    return folder


@pytest.mark.parametrize("command", [["chats"], ["chats", "--json"], ["trace"], ["outbox"]], ids=" ".join)
def test_closed_pipe_is_no_error(folder: Path, command: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [sys.executable, "-m", "app", *command],
        cwd=folder,
        env=environment({}),  # with PYTHONUNBUFFERED, as in the image
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_make_prune_without_an_age_says_what_to_give() -> None:
    command = ["make", "--old-file=.venv/run", f"BIN={Path(sys.executable).parent}", "prune"]
    ended = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "make prune OLDER_THAN=90d" in ended.stderr
    assert "Traceback" not in ended.stderr

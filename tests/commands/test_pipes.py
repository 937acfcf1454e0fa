"""Commands whose reader ends first, as in `make chats | head`, and commands without a value."""

import os
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from tests.commands.client import FREE_PORT, chat
from tests.support.processes import PROJECT, program


@pytest.mark.parametrize("command", [["chats"], ["chats", "--json"], ["trace"], ["outbox"]], ids=" ".join)
def test_closed_pipe_is_no_error(tmp_path: Path, http: httpx2.Client, command: list[str]) -> None:
    with program(["app"], cwd=tmp_path, env=FREE_PORT) as running:
        chat(http, running.url())
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [sys.executable, "-m", "app", *command],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1"},  # as in the image
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

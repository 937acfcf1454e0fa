"""Commands that cannot write to stdout, as in `make chats | head` or on a full disk, and commands without a value."""

import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import httpx2
import pytest

from tests.commands.client import FREE_PORT, chat
from tests.support.ports import free_port, listens
from tests.support.processes import PROJECT, program
from tests.support.starting import environment
from tests.support.waiting import wait_until

FULL = Path("/dev/full")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, http: httpx2.Client) -> Path:
    """With the row of a chat."""
    folder = tmp_path_factory.mktemp("pipes")
    with program(["app"], cwd=folder, env=FREE_PORT) as running:
        chat(http, running.url())
    return folder


def run(
    *command: str, folder: Path, stdout: int | IO[str] = subprocess.PIPE, **env: str
) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-m", "app", *command]
    return subprocess.run(
        arguments, cwd=folder, env=environment(env), stdout=stdout, stderr=subprocess.PIPE, text=True, check=False
    )


@pytest.mark.parametrize("command", [["chats"], ["chats", "--json"], ["trace"], ["outbox"]], ids=" ".join)
def test_closed_pipe_is_no_error(folder: Path, command: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = run(*command, folder=folder, stdout=writing)  # with PYTHONUNBUFFERED, as in the image
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.skipif(not FULL.exists(), reason="a device of Linux")
@pytest.mark.parametrize("buffered", [False, True])
@pytest.mark.parametrize("command", ["chats", "trace", "outbox", "live --once"])
def test_full_disk_is_one_sentence(folder: Path, command: str, *, buffered: bool) -> None:
    with FULL.open("w") as full:
        ended = run(*command.split(), folder=folder, stdout=full, PYTHONUNBUFFERED="" if buffered else "1")
    assert (ended.returncode, ended.stderr) == (1, "cannot write to stdout: No space left on device\n")


@pytest.mark.parametrize("command", ["chats", "live --once"])
def test_closed_stdout_is_one_sentence(folder: Path, command: str) -> None:
    shell, env = without_stdout(command), environment({})
    ended = subprocess.run(shell, cwd=folder, env=env, stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (1, "stdout is closed; redirect it to a file, or to /dev/null\n")


def test_service_runs_without_stdout(tmp_path: Path, http: httpx2.Client) -> None:
    port = free_port()
    service = subprocess.Popen(without_stdout("run"), cwd=tmp_path, env=environment({"PORT": str(port)}))
    try:
        wait_until(lambda: listens(port), "the service does not listen")
        assert chat(http, f"http://127.0.0.1:{port}").done
    finally:
        service.terminate()
        code = service.wait(60)
    assert code == 0


def without_stdout(command: str) -> list[str]:
    """A shell's command line that starts the command with a closed stdout."""
    return ["sh", "-c", f'exec "$0" -m app {command} >&-', sys.executable]


def test_make_prune_without_an_age_says_what_to_give() -> None:
    command = ["make", "--old-file=.venv/run", f"BIN={Path(sys.executable).parent}", "prune"]
    ended = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "make prune OLDER_THAN=90d" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(("command", "instead"), [(["chats"], "?"), (["trace"], "?"), (["chats", "--json"], "\\u")])
def test_terminal_without_unicode_gets_other_characters(folder: Path, command: list[str], instead: str) -> None:
    ended = run(*command, folder=folder, PYTHONIOENCODING="ascii")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert instead in ended.stdout


def test_make_prune_refuses_two_selections() -> None:
    command = ["make", "--dry-run", "prune", "OLDER_THAN=90d", "END_USER=me"]
    ended = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert '--end-user "me" --older-than "90d"' in ended.stdout  # which the command refuses

"""`make rename` gives a copy of the project another name."""

import subprocess
import sys
import tomllib
from pathlib import Path

import httpx2
import pytest

from tests.commands.client import FREE_PORT, chat
from tests.support.copies import copy_project, tracked
from tests.support.processes import PROJECT, program

OLD = ("groq-stream", "Groq, streamed")
KEPT = {"LICENSE", "CHANGELOG.md", "deploy/scripts/rename.py", "tests/test_rename.py"}
RUFF = str(Path(sys.executable).with_name("ruff"))
CHECKS = [
    [RUFF, "check", "--no-cache", "."],
    [RUFF, "format", "--no-cache", "--check", "."],
    [sys.executable, "deploy/grafana/build.py", "--check"],
    [sys.executable, "deploy/k8s/check.py"],
]


def make_rename(folder: Path, *values: str) -> subprocess.CompletedProcess[str]:
    command = ["make", f"PYTHON={sys.executable}", "rename", *values]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    copy_project(tmp_path)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "--all"], cwd=tmp_path, check=True)
    return tmp_path


def test_renamed_project_passes_the_checks_and_streams(copy: Path, http: httpx2.Client) -> None:
    done = make_rename(copy, "NAME=my-chat", "TITLE=My chat", "REPOSITORY=me/my-chat")
    assert done.returncode == 0, done.stderr
    left = [name for name in tracked() if name not in KEPT for old in OLD if old.encode() in (copy / name).read_bytes()]
    assert left == []
    assert tomllib.loads((copy / "pyproject.toml").read_text())["project"]["name"] == "my-chat"
    for check in CHECKS:
        checked = subprocess.run(check, cwd=copy, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, f"{check}: {checked.stdout}{checked.stderr}"
    with program(["app"], cwd=copy, env=FREE_PORT) as running:
        url = running.url()
        assert "My chat" in running.output
        assert chat(http, url).done
        assert running.line(lambda line: '"service.name":"my-chat"' in line)
    again = make_rename(copy, "NAME=another")
    assert again.returncode != 0
    assert "renamed before" in again.stderr


@pytest.mark.parametrize("values", [[], ["NAME=My_Chat"], ["NAME=my-chat", "REPOSITORY=my-chat"]], ids=str)
def test_invalid_name_changes_nothing(copy: Path, values: list[str]) -> None:
    done = make_rename(copy, *values)
    assert done.returncode != 0
    assert done.stderr.partition(":")[0] in {"NAME", "REPOSITORY"}
    assert (copy / "pyproject.toml").read_bytes() == (PROJECT / "pyproject.toml").read_bytes()

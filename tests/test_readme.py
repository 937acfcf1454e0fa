"""The README's code runs, and its addresses are those of the repository."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.commands.client import FREE_PORT
from tests.support.processes import PROJECT, program

TEXT = (PROJECT / "README.md").read_text()
REPOSITORY = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]


def test_client_of_openai_streams(tmp_path: Path) -> None:
    [code] = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    with program(["app"], cwd=tmp_path, env=FREE_PORT) as running:
        code = code.replace("http://127.0.0.1:8000", running.url())
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.split()) > 5
        assert running.wait_for("chat.finished")


def test_addresses_are_those_of_the_repository() -> None:
    assert f"git clone {REPOSITORY} " in TEXT
    badge, workflow = re.findall(r"\((https://[^()\s]+/actions/workflows/ci\.yml[^()\s]*)\)", TEXT)
    assert badge.startswith(REPOSITORY)
    assert workflow.startswith(REPOSITORY)


def test_front_page_is_short() -> None:
    assert len(TEXT.splitlines()) <= 120
    assert len(TEXT.split()) <= 1200

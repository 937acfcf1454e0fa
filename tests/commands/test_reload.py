"""`python -m app run --reload` restarts when the code changes."""

import shutil
from pathlib import Path

import httpx2

from tests.commands.client import FREE_PORT, chat
from tests.support.processes import PROJECT, program
from tests.support.waiting import wait_until

_PACKAGE = Path("app") / "__init__.py"


def test_changed_code_is_served_on_the_same_port(tmp_path: Path, http: httpx2.Client) -> None:
    for name in ("app", "migrations"):
        shutil.copytree(PROJECT / name, tmp_path / name)
    shutil.copy(PROJECT / "alembic.ini", tmp_path)
    with program(["app", "run", "--reload"], cwd=tmp_path, env=FREE_PORT, fresh=True) as running:
        url = running.url()
        assert version(http, url) != "9.9.9"
        text = (tmp_path / _PACKAGE).read_text()
        (tmp_path / _PACKAGE).write_text("def broken(:\n")  # a mistake is no reason to end
        assert running.wait_for("SyntaxError")

        printed = len(running.lines)

        def is_noticed() -> str | None:
            """Written again if need be: uvicorn misses a change between a restart and its next look at the files."""
            (tmp_path / _PACKAGE).write_text(text + '\n__version__ = "9.9.9"\n')
            return running.line(lambda line: "detected changes" in line, after=printed, seconds=1)

        wait_until(is_noticed, "the change is not noticed", seconds=120)
        wait_until(lambda: version(http, url) == "9.9.9", "the old code is served", seconds=120)
        assert chat(http, url).done
        assert running.stop() == 0


def version(http: httpx2.Client, url: str) -> str | None:
    """None during the restart."""
    try:
        response = http.get(f"{url}/openapi.json", timeout=1)
    except httpx2.HTTPError:
        return None
    return str(response.json()["info"]["version"])

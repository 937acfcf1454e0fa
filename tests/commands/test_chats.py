"""The table of the last chats."""

from pathlib import Path

import httpx2
import pytest

from tests.commands.newcomer import FREE_PORT, chat
from tests.support.processes import program, run


def test_what_people_wrote_cannot_steer_the_terminal(tmp_path: Path, http: httpx2.Client) -> None:
    with program(["app"], cwd=tmp_path, env=FREE_PORT) as running:
        chat(http, running.url(), "\x1b[2Jgone\x07")
    _, table = run(["app", "chats"], cwd=tmp_path)
    assert "gone" in table
    assert "\x1b" not in table
    assert "\x07" not in table


def test_chats_without_a_database_says_how_to_get_one(tmp_path: Path) -> None:
    code, output = run(["app", "chats"], cwd=tmp_path)
    assert code == 1
    assert "make run" in output
    assert output.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("limit", ["0", "-1", "many", "9" * 30])
def test_a_limit_that_is_no_count_is_refused(tmp_path: Path, limit: str) -> None:
    code, output = run(["app", "chats", "--limit", limit], cwd=tmp_path)
    assert code == 2
    assert "a number from 1 to 100000" in output

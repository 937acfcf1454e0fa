"""Another revision is checked out, leaves nothing behind, and is compared round by round."""

import subprocess
from pathlib import Path

import pytest

from loadtests.bench.clients import Chat
from loadtests.bench.compare import figures, ratios
from loadtests.bench.measure import Run
from loadtests.bench.servers import ALL_OFF, ALL_ON, BASE_OFF, BASE_ON, DIRECT, NGINX
from loadtests.bench.stage import CannotCheckOut, worktree


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """With one commit, whose environment is a file."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "Makefile").write_text(".venv/run:\n\tmkdir .venv && echo $(PYTHON) > $@\n")
    for command in ("init -q", "add Makefile", "-c user.name=me -c user.email=me@x commit -q -m first"):
        subprocess.run(["git", *command.split()], cwd=project, check=True)
    return project


def worktrees(project: Path) -> int:
    listed = subprocess.run(["git", "worktree", "list"], cwd=project, check=True, capture_output=True, text=True)
    return len(listed.stdout.splitlines())


def test_a_worktree_has_an_environment_and_is_removed_after_an_error(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012, SIM117
        with worktree("HEAD", tmp_path, "python3.x", project=repository) as root:
            assert (root / ".venv" / "run").read_text() == "python3.x\n"
            assert worktrees(repository) == 2
            raise KeyboardInterrupt
    assert not root.exists()
    assert worktrees(repository) == 1


def test_a_revision_that_cannot_be_resolved_is_an_error(repository: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(CannotCheckOut, match="no-such-revision"),
        worktree("no-such-revision", tmp_path, "python3", project=repository),
    ):
        pass
    assert worktrees(repository) == 1


def test_an_environment_that_cannot_be_built_is_an_error(repository: Path, tmp_path: Path) -> None:
    (repository / "Makefile").write_text(".venv/run:\n\techo no wheel for this Python; false\n")
    subprocess.run(
        ["git", "-c", "user.name=me", "-c", "user.email=me@x", "commit", "-qam", "second"], cwd=repository, check=True
    )
    with (
        pytest.raises(CannotCheckOut, match="no wheel for this Python"),
        worktree("HEAD", tmp_path, "p", project=repository),
    ):
        pass
    assert worktrees(repository) == 1


def rounds(cpu_ms: float = 0, *, added_ms: float = 0, receipt_ms: float = 0) -> list[Run]:
    """Two runs of one chat, the second on a machine that is three times as slow."""
    return [
        Run([Chat(added_s=slow * added_ms / 1e3, receipt_s=slow * receipt_ms / 1e3)], slow * cpu_ms / 1e3, (0, 0, 0))
        for slow in (1, 3)
    ]


def test_a_comparison_is_of_rounds_not_of_revisions() -> None:
    def chats(base_ms: float, current_ms: float) -> dict[str, list[Run]]:
        return {BASE_ON: rounds(base_ms), ALL_ON: rounds(current_ms)}

    runs = {
        "50 streams": {
            DIRECT: rounds(added_ms=0.5),
            BASE_OFF: rounds(8),
            BASE_ON: rounds(10, added_ms=4.5),
            ALL_OFF: rounds(8),
            ALL_ON: rounds(9, added_ms=2.5),
        },
        "1 tokens": chats(4.01, 3.01),
        "100 tokens": chats(5, 4),
        "400 tokens": chats(8, 7),
        "50 chats at once": {
            NGINX: rounds(added_ms=1),
            BASE_ON: rounds(added_ms=11),
            ALL_ON: rounds(added_ms=8),
        },
        "receipt": {BASE_ON: rounds(receipt_ms=3), ALL_ON: rounds(receipt_ms=2.4)},
    }
    rows = ratios(figures(runs, BASE_OFF, BASE_ON), figures(runs, ALL_OFF, ALL_ON))
    assert rows == [
        ["CPU of a token, µs", "100", "90", "0.9", "0.9-0.9"],
        ["CPU of a chat, ms", "8", "6", "0.75", "0.75-0.75"],
        ["CPU of a token, all on / all off", "1.25", "1.12", "0.9", "0.9-0.9"],
        ["first token, 50 at once, p50, ms", "20", "14", "0.7", "0.7-0.7"],
        ["first token, 50 streams, p50, ms", "8", "4", "0.5", "0.5-0.5"],
        ["first token, 50 streams, p99, ms", "8", "4", "0.5", "0.5-0.5"],
        ["receipt, p50, ms", "6", "4.8", "0.8", "0.8-0.8"],
        ["receipt, p99, ms", "6", "4.8", "0.8", "0.8-0.8"],
    ]

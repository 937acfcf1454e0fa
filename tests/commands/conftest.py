"""`python -m app` without a process of its own."""

import sys
from pathlib import Path
from typing import Protocol

import pytest

from app.__main__ import main


class Answered(Protocol):
    def __call__(self, *arguments: str, **env: str) -> tuple[int, str]:
        """The exit code, and what was said on stderr."""


@pytest.fixture
def answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Answered:
    """Runs a command in this process, in an empty folder: for what is refused before anything is begun."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GROQ_STREAM_ENV_FILE", "read")

    def answer(*arguments: str, **env: str) -> tuple[int, str]:
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("sys.argv", ["app", *arguments])
        with pytest.raises(SystemExit) as ended:  # argparse's own, or as `__main__` ends
            sys.exit(main())
        assert isinstance(ended.value.code, int)
        return ended.value.code, capsys.readouterr().err

    return answer

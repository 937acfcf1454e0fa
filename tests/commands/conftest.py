"""`python -m app` in the process of the tests."""

import sys
from pathlib import Path
from typing import Protocol

import pytest

from app.__main__ import main


class RunInProcess(Protocol):
    def __call__(self, *arguments: str, **env: str) -> tuple[int, str]:
        """Returns the exit code and stderr."""


@pytest.fixture
def run_in_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RunInProcess:
    """Runs a command that ends while it parses its arguments or settings, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SETTINGS_ENV_FILE_READ", "read")

    def run(*arguments: str, **env: str) -> tuple[int, str]:
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("sys.argv", ["app", *arguments])
        with pytest.raises(SystemExit) as ended:  # argparse's own, or as `__main__` ends
            sys.exit(main())
        assert isinstance(ended.value.code, int)
        return ended.value.code, capsys.readouterr().err

    return run

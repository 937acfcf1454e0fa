"""Imports follow the contracts in pyproject.toml, under `tool.importlinter`."""

import subprocess
import sys
from pathlib import Path

from tests.support.processes import PROJECT

LINT = Path(sys.executable).with_name("lint-imports")


def test_imports_follow_every_contract() -> None:
    done = subprocess.run([LINT, "--no-cache"], cwd=PROJECT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 kept, 0 broken" in done.stdout


def test_service_imports_neither_simulator_nor_test_tools() -> None:
    """Without quotas the client of Redis is not imported either."""
    code = "import sys, app.main; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    modules = set(done.stdout.split())
    assert "app.services.chat_service" in modules
    assert not {"app.simulator", "pytest", "hypothesis", "alembic", "redis"} & modules

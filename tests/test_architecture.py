"""Imports run one way. The contracts stand in pyproject.toml, under `tool.importlinter`."""

import subprocess
import sys
from pathlib import Path

from tests.support.processes import PROJECT

LINT = Path(sys.executable).with_name("lint-imports")


def test_every_contract_is_kept() -> None:
    done = subprocess.run([LINT, "--no-cache"], cwd=PROJECT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 kept, 0 broken" in done.stdout


def test_the_service_starts_without_the_simulator_and_the_tools_of_the_tests() -> None:
    """What serves in production imports nothing for demos and tests, and without quotas no client of Redis."""
    code = "import sys, app.main; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    modules = set(done.stdout.split())
    assert "app.services.chat_service" in modules
    assert not {"app.simulator", "pytest", "hypothesis", "alembic", "redis"} & modules

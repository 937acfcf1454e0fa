"""Runs the tests of a mutant in a forked process, which need not import the libraries again."""

import importlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

_LIBRARIES = (
    "aiohttp",
    "alembic.command",
    "anyio",
    "asyncpg",
    "fastapi",
    "httpx2",
    "hypothesis",
    "openai",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.sdk.trace",
    "prometheus_client",
    "pydantic_settings",
    "sqlalchemy.ext.asyncio",
    "structlog",
    "tenacity",
    "uvicorn",
)
_OPTIONS = ("-x", "-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")
_STOP_S = 10


def import_libraries() -> None:
    """What tests of several targets import; neither the project nor its tests, which are those of a copy."""
    for name in _LIBRARIES:
        importlib.import_module(name)


class PytestRun:
    """A run of test files in a copy of the project. `passed` is None until it has ended; in time or not."""

    def __init__(self, tests: Sequence[str], copy: Path, *, limit_s: float, writes_bytecode: bool = False) -> None:
        self._ends = time.monotonic() + limit_s
        self.timed_out = False
        self.passed: bool | None = None
        self._pid = os.fork()
        if not self._pid:
            _run_pytest(tests, copy, writes_bytecode=writes_bytecode)

    def poll(self) -> bool:
        """Returns whether it has ended."""
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        if pid:
            self.passed = status == 0
        elif time.monotonic() > self._ends:
            self.passed, self.timed_out = False, True
            self.stop()
        return self.passed is not None

    def stop(self) -> None:
        """Ends the tests, and the processes that they have started."""
        for number in (signal.SIGINT, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self._pid, number)
            began = time.monotonic()
            while time.monotonic() < began + _STOP_S:
                if os.waitpid(self._pid, os.WNOHANG)[0]:
                    return
                time.sleep(0.05)


class _InOrder:
    """The order of the files that were named; the project's own would run slow ones first."""

    def __init__(self, tests: Sequence[str]) -> None:
        self._tests = tests

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items.sort(key=lambda item: self._tests.index(item.nodeid.partition("::")[0]))


def _run_pytest(tests: Sequence[str], copy: Path, *, writes_bytecode: bool) -> None:
    """Never returns."""
    code = 1
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # it is ignored in the background of a script
        os.chdir(copy)
        for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
            del sys.modules[name]
        sys.path[0] = str(copy)
        if not writes_bytecode:  # of a mutant it might have the size and the time of another one
            sys.dont_write_bytecode = True
            os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
            silent = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silent, 1)
            os.dup2(silent, 2)
        code = int(pytest.main([*_OPTIONS, *tests], plugins=[_InOrder(tests)]))
    finally:
        os._exit(code)

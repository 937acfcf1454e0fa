"""Tests of core run on a fake clock: nothing here waits for a socket or a thread."""

from typing import Any

import pytest


@pytest.fixture
def anyio_backend(virtual_time: Any) -> Any:
    return virtual_time

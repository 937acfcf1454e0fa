"""A chat whose every neighbour is a fake waits for nothing real."""

from typing import Any

import pytest


@pytest.fixture
def anyio_backend(virtual_time: Any) -> Any:
    return virtual_time

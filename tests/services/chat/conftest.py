"""Chats between fakes run on a fake clock."""

from typing import Any

import pytest


@pytest.fixture
def anyio_backend(virtual_time: Any) -> Any:
    return virtual_time

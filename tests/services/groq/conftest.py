"""The client of Groq is tested over real connections, in real time."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"

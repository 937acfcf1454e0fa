"""Polling for conditions without an event."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

_POLL_S = 0.02


def wait_until(condition: Callable[[], Result], what: str, seconds: float = 30) -> Result:
    """Returns the first true value of the condition; fails with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"after {seconds:g} s: {what}"
        time.sleep(_POLL_S)
    return result


async def until(condition: Callable[[], object], what: str, seconds: float = 30) -> None:
    """`wait_until` in an event loop."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"after {seconds:g} s: {what}"
        await asyncio.sleep(_POLL_S)

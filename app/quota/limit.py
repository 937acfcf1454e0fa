"""A time limit for somebody else's work, which the delays of this worker do not use up."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_LOOKS = 20

_Result = TypeVar("_Result")


async def within(limit_s: float, work: Coroutine[Any, Any, _Result]) -> _Result:
    """What comes of the work. Raises TimeoutError after the limit, and the work is cancelled.

    It looks so many times whether the work is done. Where the event loop does nothing else for long, as when it parses
    a large body, that is one look, however long it took: the answer may have come meanwhile, and has had no turn yet.
    """
    task = asyncio.create_task(work)
    try:
        for _ in range(_LOOKS):
            await asyncio.wait({task}, timeout=limit_s / _LOOKS)
            if task.done():
                return task.result()
        raise TimeoutError
    finally:
        task.cancel()

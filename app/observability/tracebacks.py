"""Tracebacks that quote nobody."""

import traceback
from types import TracebackType

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

_DIRECT_CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"


def without_messages(exc_info: ExcInfo) -> str:
    """A traceback that has the types of the exceptions and not their messages, which may quote what somebody wrote."""
    parts: list[str] = []
    seen: set[int] = set()
    exc: BaseException | None = exc_info[1]
    while exc is not None and id(exc) not in seen:
        seen.add(id(exc))
        frames = "".join(traceback.format_tb(exc.__traceback__))
        parts.append(f"Traceback (most recent call last):\n{frames}{type(exc).__qualname__}\n")
        exc = exc.__cause__ or (None if exc.__suppress_context__ else exc.__context__)
    return _DIRECT_CAUSE.join(reversed(parts)).removesuffix("\n")

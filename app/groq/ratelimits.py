"""What Groq's headers tell of its rate limits: `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`."""

import re
from collections.abc import Mapping

from app.core.attempt import RateLimit

_KINDS = ("requests", "tokens")
_PART = re.compile(r"([\d.]+)(ms|h|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def rate_limits(headers: Mapping[str, str]) -> dict[str, RateLimit]:
    """The limits that are told in full; one that makes no sense is as good as none."""
    limits = {}
    for kind in _KINDS:
        limit, remaining, reset = (
            headers.get(f"x-ratelimit-{name}-{kind}", "") for name in ("limit", "remaining", "reset")
        )
        reset_s = go_duration_s(reset)
        if limit.isdecimal() and remaining.isdecimal() and reset_s is not None:
            limits[kind] = RateLimit(int(limit), int(remaining), reset_s)
    return limits


def go_duration_s(text: str) -> float | None:
    """Seconds of `2m59.56s`, `7.66s` or `547ms`; None for anything else."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    try:
        return sum(float(number) * _SECONDS[unit] for number, unit in parts)
    except ValueError:
        return None

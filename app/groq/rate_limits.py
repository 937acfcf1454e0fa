"""Groq's rate limits, from its headers: `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`."""

import re
from collections.abc import Mapping

from app.core.attempt import RateLimit

_KINDS = ("requests", "tokens")
_WHOLE = re.compile(r"\d{1,15}")
_PART = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)(ms|us|µs|ns|h|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_DECIMAL = re.compile(r"\d{1,12}(\.\d{1,12})?")


def rate_limits(headers: Mapping[str, str]) -> dict[str, RateLimit]:
    """The limits whose three headers make sense; others are left out."""
    limits = {}
    for kind in _KINDS:
        limit, remaining, reset = (
            headers.get(f"x-ratelimit-{name}-{kind}", "") for name in ("limit", "remaining", "reset")
        )
        reset_s = duration_s(reset)
        if _WHOLE.fullmatch(limit) and _WHOLE.fullmatch(remaining) and reset_s is not None:
            limits[kind] = RateLimit(int(limit), int(remaining), reset_s)
    return limits


def duration_s(text: str) -> float | None:
    """Seconds of a Go duration (`2m59.56s`, `7.66s`, `547ms`) or of a plain decimal; None for anything else."""
    if _DECIMAL.fullmatch(text):
        return float(text)
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)

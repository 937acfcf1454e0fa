"""Groq's rate limits in its headers: `x-ratelimit-{limit,remaining,reset}-{requests,tokens}` and `retry-after`."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from app.core.upstream import RateLimit

_KINDS = ("requests", "tokens")
_INTEGER = re.compile(r"\d{1,15}")
_DECIMAL = re.compile(r"\d{1,12}(\.\d{1,12})?")
_DURATION_PART = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)(ms|us|µs|ns|h|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_MAX_RETRY_AFTER_S = 366 * 86_400


def parse_rate_limits(headers: Mapping[str, str]) -> dict[str, RateLimit]:
    """Returns the limits whose three headers are valid, by their kind: `requests` and `tokens`."""
    limits = {}
    for kind in _KINDS:
        limit, remaining, reset = (
            headers.get(f"x-ratelimit-{name}-{kind}", "") for name in ("limit", "remaining", "reset")
        )
        reset_s = parse_duration(reset)
        if _INTEGER.fullmatch(limit) and _INTEGER.fullmatch(remaining) and reset_s is not None:
            limits[kind] = RateLimit(int(limit), int(remaining), reset_s)
    return limits


def parse_duration(text: str) -> float | None:
    """Returns the seconds of a Go duration (`2m59.56s`, `7.66s`, `547ms`) or of a decimal; None for anything else."""
    if _DECIMAL.fullmatch(text):
        return float(text)
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def parse_retry_after(header: str | None, now: datetime | None = None) -> float | None:
    """Returns the seconds of a `Retry-After`: whole or decimal seconds, or an HTTP date (RFC 9110, 10.2.3).

    None for anything else, and for more than a year.
    """
    text = (header or "").strip()
    if _DECIMAL.fullmatch(text):
        seconds = float(text)
    else:
        try:
            date = parsedate_to_datetime(text)
        except (ValueError, OverflowError):  # the second for a year beyond all dates
            return None
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        seconds = max(0.0, (date - (now or datetime.now(UTC))).total_seconds())
    return seconds if seconds <= _MAX_RETRY_AFTER_S else None

"""What Groq's headers say about its limits."""

from datetime import UTC, datetime

import pytest

from app.core.upstream import RateLimit
from app.services.groq.rate_limits import parse_duration, parse_rate_limits, parse_retry_after

HEADERS = {
    "x-ratelimit-limit-requests": "14400",
    "x-ratelimit-remaining-requests": "14370",
    "x-ratelimit-reset-requests": "2m59.56s",
    "x-ratelimit-limit-tokens": "18000",
    "x-ratelimit-remaining-tokens": "0",
    "x-ratelimit-reset-tokens": "7.66s",
}


def test_both_limits_are_read() -> None:
    assert parse_rate_limits(HEADERS) == {
        "requests": RateLimit(limit=14400, remaining=14370, reset_s=179.56),
        "tokens": RateLimit(limit=18000, remaining=0, reset_s=7.66),
    }


@pytest.mark.parametrize("name", list(HEADERS))
@pytest.mark.parametrize("value", [None, "", "many", "-1"])
def test_an_invalid_limit_is_omitted(name: str, value: str | None) -> None:
    headers = {key: text for key, text in (HEADERS | {name: value}).items() if text is not None}
    assert set(parse_rate_limits(headers)) == {"requests", "tokens"} - {name.rpartition("-")[2]}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("547ms", 0.547),
        ("7.66s", 7.66),
        ("2m59.56s", 179.56),
        ("1h0m3s", 3603),
        ("0s", 0),
        ("12", 12),
        ("1.5", 1.5),
        ("250µs", 0.00025),
        ("-3s", None),
        ("1" * 400, None),
        ("1" * 400 + "s", None),
        ("", None),
        ("1.2.3s", None),
    ],
)
def test_go_durations(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("5", 5),
        (" 0.25 ", 0.25),
        ("Thu, 26 Nov 2026 18:00:30 GMT", 30),
        ("Thu, 26 Nov 2026 18:00:30", 30),
        ("Thu, 26 Nov 2026 17:00:00 GMT", 0),
        ("Thu, 26 Nov 2099 18:00:00 GMT", None),
        ("31622401", None),
        ("Mon, 01 Jan 99999999999 00:00:00 GMT", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert parse_retry_after(header, now=datetime(2026, 11, 26, 18, tzinfo=UTC)) == seconds

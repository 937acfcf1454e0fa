"""The buckets, held against samples that Groq has published."""

from typing import Any

import pytest

from app.simulator.errors import Refused
from app.simulator.limits import FREE_PLAN, Bucket, Limits, RateLimit, go_duration
from tests.simulator.test_wire import post
from tests.support.service import SimulatedGroq


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def refused(limit: RateLimit, tokens: int) -> Refused:
    with pytest.raises(Refused) as refusal:
        limit.take(tokens)
    return refusal.value


def test_a_bucket_refills_continuously() -> None:
    clock = Clock()
    bucket = Bucket(6000, 60, clock)
    bucket.take(766)
    assert bucket.wait_s(6000) == pytest.approx(7.66)
    clock.now = 2
    assert bucket.remaining() == pytest.approx(6000 - 766 + 200)
    assert bucket.wait_s(6000) == pytest.approx(5.66)
    clock.now = 100
    assert bucket.remaining() == 6000


def test_a_request_a_day_comes_back_after_its_share_of_the_day() -> None:
    bucket = Bucket(14_400, 86_400, Clock())
    bucket.take(30)
    assert go_duration(bucket.wait_s(14_400)) == "3m0s"


def test_the_wait_is_what_is_missing_times_the_share() -> None:
    """Limit 100000 a day, used 97050, requested 3619: try again in 9m38.016s."""
    bucket = Bucket(100_000, 86_400, Clock())
    bucket.take(97_050)
    assert go_duration(bucket.wait_s(3619)) == "9m38.016s"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0ms"), (0.547, "547ms"), (7.66, "7.66s"), (179.56, "2m59.56s"), (3603, "1h0m3s")]
)
def test_durations_read_as_go_prints_them(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text


def test_tokens_that_can_never_fit_are_too_large_and_those_that_do_not_fit_now_must_wait() -> None:
    limit = RateLimit("m", Limits(tokens_per_minute=1000), Clock())
    too_large = refused(limit, 1001)
    assert (too_large.status, too_large.retry_after_s) == (413, None)
    assert "Limit 1000, Requested 1001" in str(too_large)
    limit.take(900)
    exhausted = refused(limit, 200)
    assert (exhausted.status, exhausted.retry_after_s) == (429, 6)
    assert "Limit 1000, Used 900, Requested 200. Please try again in 6s." in str(exhausted)


@pytest.mark.parametrize(
    ("limits", "tokens", "kind", "words"),
    [
        ({"requests_per_minute": 2}, 1, "requests", "requests per minute (RPM): Limit 2, Used 2, Requested 1."),
        ({"requests_per_day": 2}, 1, "requests", "requests per day (RPD): Limit 2, Used 2, Requested 1."),
        ({"tokens_per_minute": 250}, 100, "tokens", "tokens per minute (TPM): Limit 250, Used 200, Requested 100."),
        ({"tokens_per_day": 250}, 100, "tokens", "tokens per day (TPD): Limit 250, Used 200, Requested 100."),
    ],
)
def test_each_limit_is_named_when_it_is_reached(limits: dict[str, int], tokens: int, kind: str, words: str) -> None:
    limit = RateLimit("m", Limits(**limits), Clock())
    limit.take(tokens)
    limit.take(tokens)
    error = refused(limit, tokens).body["error"]
    assert (error["type"], words in error["message"]) == (kind, True)


def test_a_request_that_is_refused_takes_nothing() -> None:
    limit = RateLimit("m", Limits(requests_per_minute=1, tokens_per_day=100), Clock())
    limit.take(10)
    refused(limit, 10)
    assert limit.headers()["x-ratelimit-remaining-requests"] == "9999999"


def test_cached_tokens_have_to_fit_and_are_not_taken() -> None:
    limit = RateLimit("m", Limits(tokens_per_minute=1000), Clock())
    limit.take(800, cached=700)
    assert limit.headers()["x-ratelimit-remaining-tokens"] == "900"
    with pytest.raises(Refused):
        limit.take(950, cached=940)


def test_the_headers_tell_of_requests_a_day_and_tokens_a_minute() -> None:
    limit = RateLimit("m", FREE_PLAN, Clock())
    limit.take(300)
    headers = limit.headers()
    assert [headers[f"x-ratelimit-limit-{kind}"] for kind in ("requests", "tokens")] == ["1000", "8000"]
    assert [headers[f"x-ratelimit-remaining-{kind}"] for kind in ("requests", "tokens")] == ["999", "7700"]
    assert [headers[f"x-ratelimit-reset-{kind}"] for kind in ("requests", "tokens")] == ["1m26.4s", "2.25s"]


@pytest.mark.parametrize(
    ("body", "words"),
    [({"openai/gpt-oss-20b": {"tokens": 1}}, "tokens"), ({"gpt-4": {}, "a": {}}, "no such model: a, gpt-4")],
)
def test_invalid_limits_are_refused(groq: SimulatedGroq, body: dict[str, Any], words: str) -> None:
    response = groq.http.put(f"{groq.root}/limits", json=body)
    assert (response.status_code, words in response.text) == (422, True)


def test_headers_and_refusals_come_over_http(groq: SimulatedGroq) -> None:
    body = {"qwen/qwen3.6-27b": {"requests_per_day": 1000, "tokens_per_minute": 300}}
    assert groq.http.put(f"{groq.root}/limits", json=body).status_code == 200
    first = post(groq, model="qwen/qwen3.6-27b")
    assert first.status_code == 200
    assert first.headers["x-ratelimit-limit-requests"] == "1000"
    assert first.headers["x-ratelimit-remaining-requests"] == "999"
    assert first.headers["x-ratelimit-reset-requests"].startswith("1m26")
    assert int(first.headers["x-ratelimit-remaining-tokens"]) < 50
    second = post(groq, model="qwen/qwen3.6-27b")
    assert second.status_code == 429
    assert second.json()["error"]["code"] == "rate_limit_exceeded"
    assert second.json()["error"]["type"] == "tokens"
    assert 1 <= int(second.headers["retry-after"]) <= 60
    third = post(groq, model="qwen/qwen3.6-27b", max_tokens=301)
    assert third.status_code == 413
    assert "retry-after" not in third.headers

"""Estimated tokens of a chat, and its cost."""

import asyncio

import pytest

from app.core.models import ModelPrice
from app.core.upstream import (
    Attempt,
    UpstreamBroken,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from app.services.chat.usage import Usage, estimated_usage, has_worked

REFUSED = Attempt(model="m", started=1, status=400, error=UpstreamRejected("no", status=400))
RATE_LIMITED = Attempt(model="m", started=1, status=429, error=UpstreamRateLimited("later"))
REFUSED_IN_THE_STREAM = Attempt(model="m", started=1, status=200, error=UpstreamRateLimited("later"))
FAILED = Attempt(model="m", started=1, status=503, error=UpstreamUnavailable("busy"))
UNANSWERED = Attempt(model="m", started=1, error=UpstreamTimeout("nothing"))
PROMISED = Attempt(model="m", started=1, status=200, error=UpstreamTimeout("no first byte"))
CANCELLED = Attempt(model="m", started=1, error=asyncio.CancelledError(), sent=True)
CANCELLED_EARLY = Attempt(model="m", started=1, error=asyncio.CancelledError())
ANSWERED = Attempt(model="m", started=1, status=200)
BROKEN = Attempt(model="m", started=1, status=200, error=UpstreamBroken("broken off"))


@pytest.mark.parametrize("attempt", [ANSWERED, PROMISED, CANCELLED])
def test_a_provider_that_answered_or_was_working_bills_the_attempt(attempt: Attempt) -> None:
    assert has_worked(attempt, streamed=True)
    assert has_worked(attempt, streamed=False)


@pytest.mark.parametrize("attempt", [REFUSED, RATE_LIMITED, FAILED, UNANSWERED, CANCELLED_EARLY])
def test_a_provider_that_refused_or_was_not_reached_bills_nothing(attempt: Attempt) -> None:
    assert not has_worked(attempt, streamed=True)
    assert not has_worked(attempt, streamed=False)


@pytest.mark.parametrize("attempt", [BROKEN, REFUSED_IN_THE_STREAM])
def test_an_answer_that_broke_off_was_worked_on_if_it_is_not_streamed(attempt: Attempt) -> None:
    assert not has_worked(attempt, streamed=True)
    assert has_worked(attempt, streamed=False)


def test_each_chunk_counts_as_a_token() -> None:
    assert estimated_usage(progress_chunks=2, body_bytes=4000, answer_bytes=0) == Usage(1000, 2)


def test_an_answer_that_is_not_streamed_counts_a_token_for_every_four_bytes() -> None:
    assert estimated_usage(progress_chunks=0, body_bytes=4000, answer_bytes=400) == Usage(1000, 100)


def test_cached_input_has_its_own_price() -> None:
    price = ModelPrice(input=1, output=10, cached_input=0.5)
    usage = Usage(1000, 100, cached_tokens=400)
    assert usage.cost_usd(price) == pytest.approx((600 + 200 + 1000) / 1e6)
    assert usage.cost_usd(ModelPrice(input=1, output=10)) == pytest.approx(2000 / 1e6)
    assert usage.cost_usd(None) is None


def test_a_cost_that_the_column_cannot_hold_is_unknown() -> None:
    """As with a price for each token that was taken for one of a million tokens."""
    assert Usage(0, 99_999).cost_usd(ModelPrice(input=0, output=1_000_000)) == 99_999
    assert Usage(0, 100_000).cost_usd(ModelPrice(input=0, output=1_000_000)) is None

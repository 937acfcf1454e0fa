"""Estimated tokens of a chat, and its cost."""

import asyncio

import pytest

from app.core.models import ModelPrice
from app.core.upstream import Attempt, UpstreamRateLimited, UpstreamRejected, UpstreamTimeout, UpstreamUnavailable
from app.services.chat.timing import ChatTiming
from app.services.chat.usage import Usage, estimated_usage

REFUSED = Attempt(model="m", started=1, status=400, error=UpstreamRejected("no", status=400))
RATE_LIMITED = Attempt(model="m", started=1, status=429, error=UpstreamRateLimited("later"))
REFUSED_IN_THE_STREAM = Attempt(model="m", started=1, status=200, error=UpstreamRateLimited("later"))
FAILED = Attempt(model="m", started=1, status=503, error=UpstreamUnavailable("busy"))
UNANSWERED = Attempt(model="m", started=1, error=UpstreamTimeout("nothing"))
PROMISED = Attempt(model="m", started=1, status=200, error=UpstreamTimeout("no first byte"))
CANCELLED = Attempt(model="m", started=1, error=asyncio.CancelledError())
ANSWERED = Attempt(model="m", started=1, status=200)


def usage_after(*attempts: Attempt, chunks: int = 0, answer_bytes: int = 0) -> Usage | None:
    timing = ChatTiming(arrived=0, requested=0, admitted=0)
    for attempt in attempts:
        timing.add_attempt(attempt)
    return estimated_usage(timing.attempt_log, progress_chunks=chunks, body_bytes=4000, answer_bytes=answer_bytes)


@pytest.mark.parametrize("attempts", [[ANSWERED], [PROMISED], [CANCELLED], [FAILED, CANCELLED], [PROMISED, FAILED]])
def test_an_attempt_that_was_worked_on_has_used_the_prompt(attempts: list[Attempt]) -> None:
    assert usage_after(*attempts) == Usage(1000, 0)


@pytest.mark.parametrize(
    "attempts", [[], [REFUSED], [RATE_LIMITED], [REFUSED_IN_THE_STREAM], [FAILED, FAILED], [UNANSWERED]]
)
def test_a_refused_attempt_has_used_nothing(attempts: list[Attempt]) -> None:
    assert usage_after(*attempts) is None


def test_each_chunk_counts_as_a_token() -> None:
    assert usage_after(ANSWERED, chunks=2) == Usage(1000, 2)


def test_an_answer_that_is_not_streamed_counts_a_token_for_every_four_bytes() -> None:
    assert usage_after(ANSWERED, answer_bytes=400) == Usage(1000, 100)


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

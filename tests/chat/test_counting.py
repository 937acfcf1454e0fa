"""The tokens of a chat: who counted them, and where Groq did no work."""

import asyncio

import pytest

from app.chat.block import Block, Usage
from app.chat.counting import counted
from app.chat.pace import Pace
from app.core.attempt import Attempt
from app.core.errors import UpstreamRateLimited, UpstreamRejected, UpstreamTimeout, UpstreamUnavailable

REFUSED = Attempt(model="m", started=1, status=400, error=UpstreamRejected("no", status=400))
RATE_LIMITED = Attempt(model="m", started=1, status=429, error=UpstreamRateLimited("later"))
REFUSED_IN_THE_STREAM = Attempt(model="m", started=1, status=200, error=UpstreamRateLimited("later"))
FAILED = Attempt(model="m", started=1, status=503, error=UpstreamUnavailable("busy"))
UNANSWERED = Attempt(model="m", started=1, error=UpstreamTimeout("nothing"))
PROMISED = Attempt(model="m", started=1, status=200, error=UpstreamTimeout("no first byte"))
LEFT = Attempt(model="m", started=1, error=asyncio.CancelledError())
ANSWERED = Attempt(model="m", started=1, status=200)


def after(*attempts: Attempt) -> Pace:
    pace = Pace(arrived=0, asked=0, admitted=0)
    for attempt in attempts:
        pace.attempted(attempt)
    return pace


def test_groq_s_own_count_is_taken_as_it_is() -> None:
    usage = Usage(5, 2)
    assert counted(usage, after(ANSWERED), body_bytes=4000, answer_bytes=0) == (usage, "upstream")


@pytest.mark.parametrize("attempts", [[ANSWERED], [PROMISED], [LEFT], [FAILED, LEFT], [PROMISED, FAILED]])
def test_what_groq_worked_on_has_spent_its_request_before_the_first_token(attempts: list[Attempt]) -> None:
    assert counted(None, after(*attempts), body_bytes=4000, answer_bytes=0) == (Usage(1000, 0), "estimated")


@pytest.mark.parametrize(
    "attempts", [[], [REFUSED], [RATE_LIMITED], [REFUSED_IN_THE_STREAM], [FAILED, FAILED], [UNANSWERED]]
)
def test_what_groq_did_not_work_on_has_spent_nothing(attempts: list[Attempt]) -> None:
    assert counted(None, after(*attempts), body_bytes=4000, answer_bytes=0) == (None, None)


def test_an_answer_that_broke_off_has_spent_each_piece_that_came() -> None:
    pace = after(ANSWERED)
    pace.add(Block(data=b"x", text=["x", "y"], deltas=2), 2, waited_s=1)
    assert counted(None, pace, body_bytes=4000, answer_bytes=0) == (Usage(1000, 2), "estimated")


def test_a_whole_answer_that_was_not_counted_has_spent_a_token_for_every_four_bytes() -> None:
    assert counted(None, after(ANSWERED), body_bytes=4000, answer_bytes=400) == (Usage(1000, 100), "estimated")

"""A short run of all endings: nothing stays behind, and a client that leaves lets go of Groq."""

from dataclasses import replace
from typing import Any

import pytest

from app.core.outcomes import Outcome
from loadtests.endings.endings import BLOCKED, ENDINGS, READING, WAITING
from loadtests.endings.plan import Plan
from loadtests.endings.run import run
from loadtests.endings.table import table
from loadtests.endings.verdict import HELD, Evidence, judge
from tests.support.shared import SharedResources

SHORT = Plan(chats=120, warm_up=40, clients=16, closings=2)
LONG = Plan(chats=1000, warm_up=200, closings=5)
CLOSED_S = 10
"""Generous: other tests may run beside; `make endings` tells how long it takes."""


@pytest.fixture(scope="module", params=[SHORT, pytest.param(LONG, marks=pytest.mark.long)], ids=["short", "long"])
def plan(request: pytest.FixtureRequest) -> Plan:
    plan: Plan = request.param
    return plan


@pytest.fixture(scope="module")
def evidence(plan: Plan, shared: SharedResources) -> Evidence:
    return run(plan, shared.open_folder("endings"))


def test_nothing_is_left_behind_however_chats_end(evidence: Evidence) -> None:
    problems = judge(evidence, memory=False)  # a run this short says nothing of it
    assert problems == [], table(evidence, problems)


def test_every_ending_was_there(evidence: Evidence) -> None:
    assert {ending.name for ending in evidence.asked.values()} == {ending.name for ending in ENDINGS}
    assert set(evidence.counted) == {
        Outcome.COMPLETED,
        Outcome.CLIENT_DISCONNECTED,
        Outcome.CLIENT_STALLED,
        Outcome.UPSTREAM_ERROR,
        Outcome.UPSTREAM_RATE_LIMITED,
        Outcome.UPSTREAM_TIMEOUT,
        Outcome.UPSTREAM_REJECTED,
        Outcome.INVALID_REQUEST,
    }


def test_groq_is_let_go_of_when_a_client_leaves(evidence: Evidence, plan: Plan) -> None:
    assert set(evidence.closings) == {WAITING.name, READING.name, BLOCKED.name}
    for seconds in evidence.closings.values():
        assert len(seconds) == plan.closings
        assert max(seconds) < CLOSED_S


def test_clients_that_stopped_reading_had_blocked_the_service(evidence: Evidence) -> None:
    """Groq was made to wait: of what it had to say, a fraction was taken before they left."""
    taken = [row.tokens for row in evidence.rows if evidence.asked[row.asked_as] is BLOCKED]
    assert taken
    assert max(taken) < BLOCKED.fault["words"] * 3 / 4


@pytest.mark.parametrize("held", HELD)
def test_one_more_of_anything_is_noticed(evidence: Evidence, plan: Plan, held: str) -> None:
    more = replace(evidence.end, **{held: getattr(evidence.start, held) + 1})
    noticed = judge(replace(evidence, looks={**evidence.looks, plan.chats: more}), memory=False)
    assert [problem for problem in noticed if held in problem]


@pytest.mark.parametrize(
    ("changes", "noticed"),
    [
        ({"upstream": 1}, "connections to Groq"),
        ({"gauges": {"active streams": 1.0}}, "active streams"),
        ({"rows": ()}, "requests are not 0 rows"),
        ({"spans": ()}, "0 spans"),
        ({"counted": {}}, "0 in the metrics"),
    ],
)
def test_what_does_not_add_up_is_noticed(evidence: Evidence, changes: dict[str, Any], noticed: str) -> None:
    problems = judge(replace(evidence, **changes), memory=False)
    assert [problem for problem in problems if noticed in problem], problems


def test_memory_that_grows_is_noticed(evidence: Evidence) -> None:
    looks = {500: evidence.start, 1000: replace(evidence.end, rss_mb=evidence.start.rss_mb * 1.2)}
    assert [problem for problem in judge(replace(evidence, looks=looks)) if "memory grew" in problem]

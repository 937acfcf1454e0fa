"""A short run of all endings: nothing is left behind, and a client that leaves ends its request to Groq."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from app.core.outcomes import Outcome
from loadtests.leak_test.__main__ import run
from loadtests.leak_test.endings import BLOCKED, ENDINGS, READING, WAITING, Plan
from loadtests.leak_test.verdict import HELD, Evidence, judge, report
from tests.support.shared import SharedResources

SHORT = Plan(chats=80, warm_up=30, clients=16, closings=1)
LONG = Plan(chats=1000, warm_up=200, closings=5)
CLOSED_S = 10
"""Generous: other tests may run beside; `make leak-test` measures it."""


@pytest.fixture(scope="module", params=[SHORT, pytest.param(LONG, marks=pytest.mark.long)], ids=["short", "long"])
def plan(request: pytest.FixtureRequest) -> Plan:
    plan: Plan = request.param
    return plan


@pytest.fixture(scope="module")
def evidence(plan: Plan, shared: SharedResources) -> Evidence:
    return run(plan, shared.open_folder("leak_test"))


def test_nothing_is_left_behind_however_chats_end(evidence: Evidence) -> None:
    problems = judge(evidence, memory=False)  # a run this short says nothing of it
    assert problems == [], report(evidence, problems)
    assert {ending.name for ending in evidence.requested.values()} == {ending.name for ending in ENDINGS}
    assert set(evidence.counted) == {outcome for ending in ENDINGS for outcome in ending.outcomes}


def test_a_client_that_leaves_ends_its_request_to_groq(evidence: Evidence, plan: Plan) -> None:
    assert set(evidence.closings) == {WAITING.name, READING.name, BLOCKED.name}
    for seconds in evidence.closings.values():
        assert len(seconds) == plan.closings
        assert max(seconds) < CLOSED_S


def test_clients_that_stop_reading_slow_groq_down(evidence: Evidence) -> None:
    """Of what Groq had to send, a fraction was taken before they left."""
    taken = [
        row.tokens
        for row in evidence.rows
        if row.client_request_id and evidence.requested[row.client_request_id] is BLOCKED
    ]
    assert taken
    assert max(taken) < BLOCKED.fault["words"] * 3 / 4


@pytest.mark.parametrize("held", HELD)
def test_one_more_of_anything_is_reported(evidence: Evidence, held: str) -> None:
    more = evidence.holds[-1] | {held: evidence.holds[0][held] + 1}
    problems = judge(replace(evidence, holds=[*evidence.holds, more]), memory=False)
    assert [problem for problem in problems if held in problem]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"upstream": 1}, "connections to Groq"),
        ({"gauges": {"active streams": 1.0}}, "active streams"),
        ({"rows": ()}, f"ended as {Outcome.INVALID_REQUEST}"),
        ({"spans": ()}, "0 spans"),
        ({"counted": Counter()}, "0 in the metrics"),
    ],
)
def test_what_does_not_add_up_is_reported(evidence: Evidence, changes: dict[str, Any], problem: str) -> None:
    problems = judge(replace(evidence, **changes), memory=False)
    assert [each for each in problems if problem in each], problems

"""A short run of chaos: everything fails at least once, and every receipt has its row."""

from dataclasses import replace

import pytest

from loadtests.chaos.__main__ import run
from loadtests.chaos.history import End, Kind, Plan
from loadtests.chaos.verdict import Evidence, judge, report
from tests.support.shared import SharedResources

SHORT = Plan(
    streams=40,
    clients=8,
    between_kills_s=(0.1, 0.3),
    between_outages_s=(0.5, 1),
    outage_s=(2.2, 2.5),  # longer than a commit may take
    groq_faults_s=(0.5, 1),
    idle_bytes=0.3,
)
LONG = replace(SHORT, streams=600, clients=24, between_kills_s=(0.2, 1), between_outages_s=(3, 4))


@pytest.fixture(scope="module", params=[SHORT, pytest.param(LONG, marks=pytest.mark.long)], ids=["short", "long"])
def evidence(request: pytest.FixtureRequest, shared: SharedResources) -> Evidence:
    return run(request.param, shared.open_folder("chaos"))


def test_every_receipt_has_its_row_and_every_answer_its_question(evidence: Evidence) -> None:
    broken = judge(evidence)
    assert not any(broken.values()), report(evidence, broken)


def test_everything_failed_and_the_service_worked_before_and_after(evidence: Evidence) -> None:
    history = evidence.history
    assert set(history.happened) == set(Kind)
    assert history.faults.total() > 0
    assert evidence.idle_bytes.total() > 0
    assert history.ends[End.LEFT] > 0
    receipts = [chat for chat in history.chats if chat.receipt]
    for outage in history.of(Kind.STOP, Kind.HANG):
        assert any(chat.ended < outage.began for chat in receipts)
        assert any(chat.ended > outage.ended for chat in receipts)

"""A short storm: everything breaks at least once, and every receipt has its row."""

from dataclasses import replace

import pytest

from loadtests.chaos.diary import Diary, End, Incident, Kind
from loadtests.chaos.plan import Plan
from loadtests.chaos.storm import run
from loadtests.chaos.table import table
from loadtests.chaos.verdict import Evidence, judge
from tests.support.shared import SharedResources

SHORT = Plan(
    streams=60,
    clients=8,
    between_kills_s=(0.1, 0.3),
    between_outages_s=(0.5, 1),
    outage_s=(2.2, 2.5),  # longer than a commit may take
    weather_s=(0.5, 1),
)
LONG = replace(SHORT, streams=600, clients=24, between_kills_s=(0.2, 1), between_outages_s=(3, 4))


@pytest.fixture(scope="module", params=[SHORT, pytest.param(LONG, marks=pytest.mark.long)], ids=["short", "long"])
def evidence(request: pytest.FixtureRequest, shared: SharedResources) -> Evidence:
    return run(request.param, shared.open_folder("chaos"))


def test_every_receipt_has_its_row_whatever_breaks(evidence: Evidence) -> None:
    verdict = judge(evidence)
    assert verdict.holds, table(evidence, verdict)


def test_everything_broke_and_the_service_was_well_before_and_after(evidence: Evidence) -> None:
    diary = evidence.diary
    assert set(diary.struck) == set(Kind)
    assert sum(diary.faults.values()) > 0
    assert diary.ends[End.LEFT] > 0
    receipts = [chat for chat in diary.chats if chat.receipt]
    for outage in outages(diary):
        assert any(chat.ended < outage.began for chat in receipts)
        assert any(chat.ended > outage.ended for chat in receipts)


def test_a_row_that_went_missing_after_the_run_is_noticed(evidence: Evidence) -> None:
    missing = next(chat.id for chat in evidence.diary.chats if chat.receipt)
    rows = [row for row in evidence.rows if row.id != missing]
    assert judge(replace(evidence, rows=rows)).lost == [missing]


def outages(diary: Diary) -> list[Incident]:
    return [incident for incident in diary.incidents if incident.kind in (Kind.STOP, Kind.HANG)]

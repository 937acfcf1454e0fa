"""A few of the inputs of `make fuzz`, always the same."""

from collections.abc import Iterator

import pytest

from tests.fuzz import greedy, raw
from tests.fuzz.tally import Tally
from tests.fuzz.target import Target, under_fire


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with under_fire(tmp_path_factory.mktemp("fuzz")) as running:
        yield running


@pytest.fixture(scope="module")
def greedy_target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[greedy.Worker]:
    with greedy.worker(tmp_path_factory.mktemp("greedy")) as running:
        yield running


def assert_clean(tally: Tally, target: Target) -> None:
    assert tally.is_clean, "\n".join(tally.examples)
    assert target.bugs == []
    assert tally.ok > tally.inputs / 10, "most of it did not come far"


@pytest.mark.parametrize("cases", [20, pytest.param(80, marks=pytest.mark.long)])
def test_the_service_does_what_its_description_says(target: Target, cases: int) -> None:
    """Statuses, types and shapes, whether a request is as described or not."""
    from tests.fuzz import described  # noqa: PLC0415 - schemathesis is large, and every worker imports this file

    assert_clean(described.run(target, cases=cases, seed=1), target)


@pytest.mark.parametrize("cases", [100, pytest.param(1000, marks=pytest.mark.long)])
def test_no_bytes_make_the_service_fail_or_wait(target: Target, cases: int) -> None:
    assert_clean(raw.run(target, cases=cases, seed=1), target)


@pytest.mark.parametrize("attack", ["empty parts, 6 at once", "nested lists, one by one", "uploads that stall"])
def test_one_caller_can_neither_stop_a_worker_nor_fill_its_memory(greedy_target: greedy.Worker, attack: str) -> None:
    """`make fuzz` asks for a tenth of a second; here it is enough that nobody waits for each of these requests."""
    told = greedy.run(greedy_target, seconds=2, only=attack)
    print(greedy.table(told))
    assert len(told) == 2
    assert greedy.is_held(told, max_p99_s=2)


def test_what_is_looked_for_is_found() -> None:
    failed, hung, broke = Tally("failed"), Tally("hung"), Tally("broke")
    failed.answered([200, 503], "x")
    hung.hung("x")
    broke.broke("x")
    assert not any(tally.is_clean for tally in (failed, hung, broke))
    assert [len(tally.examples) for tally in (failed, hung, broke)] == [1, 1, 1]

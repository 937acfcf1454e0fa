"""A few of the inputs of `make fuzz`, from a fixed seed."""

from collections.abc import Iterator

import pytest

from tests.fuzz import noisy_neighbor, raw_http
from tests.fuzz.tally import Tally
from tests.fuzz.target import Target, strict_service


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with strict_service(tmp_path_factory.mktemp("fuzz")) as running:
        yield running


@pytest.fixture(scope="module")
def shared_target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with noisy_neighbor.service_with_two_clients(tmp_path_factory.mktemp("neighbor")) as running:
        yield running


def assert_clean(tally: Tally, target: Target) -> None:
    assert tally.is_clean, "\n".join(tally.examples)
    assert target.errors == []
    assert tally.ok > tally.inputs / 10, "most inputs were refused early"


@pytest.mark.parametrize("cases", [6, pytest.param(80, marks=pytest.mark.long)])
def test_responses_conform_to_the_openapi_document(target: Target, cases: int) -> None:
    """Status, content type and schema, for valid and invalid requests."""
    from tests.fuzz import openapi  # noqa: PLC0415 - imports schemathesis, which is slow, in one worker only

    assert_clean(openapi.run(target, cases=cases, seed=1), target)


@pytest.mark.parametrize("cases", [100, pytest.param(1000, marks=pytest.mark.long)])
def test_mutated_requests_cause_no_5xx_and_no_timeout(target: Target, cases: int) -> None:
    assert_clean(raw_http.run(target, cases=cases, seed=1), target)


def test_one_client_cannot_block_a_worker_or_fill_its_memory(shared_target: Target) -> None:
    """`make fuzz` has a limit of a tenth of a second; here no chat may wait for several of the attacker's requests."""
    attacks = ("empty parts, 6 at once", "nested lists, one by one", "150 stalled uploads")
    impacts = noisy_neighbor.run(shared_target, seconds=1, only=attacks)
    print(noisy_neighbor.table(impacts))
    assert {each.attack for each in impacts} >= set(attacks)
    assert noisy_neighbor.is_contained(impacts, max_p99_s=2)


def test_tally_detects_each_kind_of_problem() -> None:
    failed, timed_out, violated = Tally("failed"), Tally("timed out"), Tally("violated")
    failed.add_statuses([200, 503], "x")
    timed_out.add_timeout("x")
    violated.add_violation("x")
    assert not any(tally.is_clean for tally in (failed, timed_out, violated))
    assert [len(tally.examples) for tally in (failed, timed_out, violated)] == [1, 1, 1]

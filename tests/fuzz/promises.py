"""Promises of pure functions, which need no service."""

from collections.abc import Callable
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase
from hypothesis.strategies import SearchStrategy

from tests.fuzz.tally import Tally


def run(source: str, inputs: SearchStrategy[Any], check: Callable[[Any], object], *, cases: int, seed: int) -> Tally:
    """Whatever the check raises is a promise that was broken; all are counted, the first ones are shown."""
    tally = Tally(source)

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=cases,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(inputs)
    def one(value: Any) -> None:
        with tally.one():
            try:
                check(value)
            except Exception as exc:  # noqa: BLE001 - whatever it is, it is what was looked for
                tally.broke(f"{exc!r}: {value!r}")

    one()
    return tally

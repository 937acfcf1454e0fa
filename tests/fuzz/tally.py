"""The results of the inputs of one source, and their table."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase
from hypothesis.strategies import SearchStrategy

TIMEOUT_S = 10
_MAX_EXAMPLES = 5
_HEAD = f"{'source':<28}{'inputs':>8}{'2xx':>8}{'4xx':>8}{'5xx':>6}{'timeouts':>10}{'violations':>12}{'slowest':>10}"


@dataclass
class Tally:
    """`violations` are failed checks other than those of status and time."""

    source: str
    inputs: int = 0
    ok: int = 0
    refused: int = 0
    failed: int = 0
    timeouts: int = 0
    violations: int = 0
    slowest_s: float = 0
    examples: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not (self.failed or self.timeouts or self.violations)

    def add_statuses(self, statuses: list[int], sent: object) -> None:
        """The statuses of all responses to one input."""
        self.ok += any(status < 400 for status in statuses)
        self.refused += any(400 <= status < 500 for status in statuses)
        if any(status >= 500 for status in statuses):
            self.failed += 1
            self._add_example(f"{statuses}: {sent}")

    def add_timeout(self, sent: object) -> None:
        self.timeouts += 1
        self._add_example(f"no response in {TIMEOUT_S} s: {sent}")

    def add_violation(self, description: object) -> None:
        self.violations += 1
        self._add_example(str(description))

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Counts and times one input."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.inputs += 1
            self.slowest_s = max(self.slowest_s, time.monotonic() - start)

    def _add_example(self, example: str) -> None:
        if len(self.examples) < _MAX_EXAMPLES:
            self.examples.append(f"{self.source}: {example[:2000]}")


def table(tallies: list[Tally]) -> str:
    return "\n".join([_HEAD, *(_row(each) for each in tallies)])


def _row(tally: Tally) -> str:
    has_statuses = tally.ok or tally.refused or tally.failed
    statuses = (tally.ok, tally.refused, tally.failed) if has_statuses else ("", "", "")
    counts = "{:>8}{:>8}{:>6}".format(*statuses)
    problems = f"{tally.timeouts:>10}{tally.violations:>12}"
    return f"{tally.source:<28}{tally.inputs:>8}{counts}{problems}{tally.slowest_s:>8.2f} s"


def for_each(inputs: SearchStrategy[Any], use: Callable[[Any], object], *, cases: int, seed: int) -> None:
    """Calls `use` with as many generated inputs; the same seed generates the same ones."""

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=cases,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(inputs)
    def call(value: Any) -> None:
        use(value)

    call()


def check_each(
    source: str, inputs: SearchStrategy[Any], check: Callable[[Any], object], *, cases: int, seed: int
) -> Tally:
    """Checks a pure function: an exception is a violation."""
    tally = Tally(source)

    def check_one(value: Any) -> None:
        with tally.timed():
            try:
                check(value)
            except Exception as exc:  # noqa: BLE001 - any exception is a result
                tally.add_violation(f"{exc!r}: {value!r}")

    for_each(inputs, check_one, cases=cases, seed=seed)
    return tally

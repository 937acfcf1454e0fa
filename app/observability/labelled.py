"""Instruments with labels whose values are known: `labels` of each function are names with their possible values."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram

_Instrument = TypeVar("_Instrument", Counter, Histogram)


class LabelledMetric(Generic[_Instrument]):
    """The children of an instrument, one for each combination of the values that its labels may have.

    The library's own `labels` validates and locks each time, and a chat looks up twenty children.
    """

    def __init__(self, instrument: _Instrument, labels: Mapping[str, Sequence[str]]) -> None:
        first, *self._others = labels.values()
        self._instrument: _Instrument = instrument
        self._children: dict[tuple[str, ...], _Instrument] = {}
        for value in first:
            self.add(value)

    def add(self, value: str) -> None:
        """Makes the children for one more value of the first label."""
        for combination in product((value,), *self._others):
            self._children[combination] = self._instrument.labels(*combination)

    def labels(self, *values: str) -> _Instrument:
        """The child for these values; raises KeyError for any that no label may have."""
        return self._children[values]


def counter(registry: CollectorRegistry, name: str, text: str, **labels: Sequence[str]) -> LabelledMetric[Counter]:
    return LabelledMetric(Counter(name, text, [*labels], registry=registry), labels)


def histogram(
    registry: CollectorRegistry, name: str, text: str, buckets: Sequence[float], **labels: Sequence[str]
) -> LabelledMetric[Histogram]:
    return LabelledMetric(Histogram(name, text, [*labels], buckets=buckets, registry=registry), labels)

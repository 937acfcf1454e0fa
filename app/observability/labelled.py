"""Instruments with labels whose values are known, and counters that are read at a scrape."""

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

_Instrument = TypeVar("_Instrument", Counter, Gauge, Histogram)


class LabelledMetric(Generic[_Instrument]):
    """The children of an instrument, one for each combination of the values that its labels may have.

    The library's own `labels` validates and locks each time, and a chat looks up twenty children.
    """

    def __init__(self, instrument: _Instrument, first: Sequence[str], *others: Sequence[str]) -> None:
        self._instrument: _Instrument = instrument
        self._others = others
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


class CallbackCounter(Collector):
    """A counter whose value is read at a scrape."""

    def __init__(self, name: str, documentation: str, value: Callable[[], int], *, registry: CollectorRegistry) -> None:
        self._name = name
        self._documentation = documentation
        self._value = value
        registry.register(self)

    def collect(self) -> Iterable[CounterMetricFamily]:
        return [CounterMetricFamily(self._name, self._documentation, value=self._value())]

    describe = collect

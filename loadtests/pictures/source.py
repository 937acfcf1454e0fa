"""What panels ask of Prometheus, as Grafana asks it: with its variables filled in, over one range of time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import httpx2

Labels = Mapping[str, str]
Point = tuple[float, float]
"""When, in seconds since 1970, and what."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """From when to when, and how often Prometheus looked; in seconds."""

    start: float
    end: float
    scrape_s: int

    @property
    def seconds(self) -> float:
        return self.end - self.start

    @property
    def step_s(self) -> int:
        """Between two points of a curve: none is made up between two scrapes."""
        return self.scrape_s

    def fill_in(self, expr: str) -> str:
        """Grafana's variables, with all models chosen."""
        variables = {
            "$__rate_interval": f"{max(self.step_s + self.scrape_s, 4 * self.scrape_s)}s",
            "$__range": f"{round(self.seconds)}s",
            "$model": ".*",
        }
        for name, value in variables.items():
            expr = expr.replace(name, value)
        if "$" in expr:
            raise ValueError(f"there is a variable that has no value here: {expr}")
        return expr


@dataclass(frozen=True)
class Series:
    """What belongs to one set of labels: a point for each step that has one, or a single one."""

    labels: Labels
    points: Sequence[Point]

    @property
    def last(self) -> float:
        return self.points[-1][1]


class Source(Protocol):
    """Whoever answers queries."""

    range: Range

    def now(self, expr: str) -> list[Series]:
        """At the end of the range."""

    def over(self, expr: str) -> list[Series]:
        """Throughout the range."""

    def exemplars(self, expr: str) -> list[Point]:
        """Single chats, of all the series that the expression is made of."""


class PrometheusSource:
    """A running Prometheus."""

    def __init__(self, url: str, http: httpx2.Client, range_: Range) -> None:
        self.range = range_
        self._url = url
        self._http = http

    def now(self, expr: str) -> list[Series]:
        found = self._ask("query", query=expr, time=self.range.end)["result"]
        return [Series(each["metric"], [_point(each["value"])]) for each in found]

    def over(self, expr: str) -> list[Series]:
        found = self._ask("query_range", query=expr, step=self.range.step_s, **self._times())["result"]
        return [Series(each["metric"], [_point(value) for value in each["values"]]) for each in found]

    def exemplars(self, expr: str) -> list[Point]:
        found = self._ask("query_exemplars", query=expr, **self._times())
        return [_point((each["timestamp"], each["value"])) for series in found for each in series["exemplars"]]

    def _times(self) -> dict[str, float]:
        return {"start": self.range.start, "end": self.range.end}

    def _ask(self, what: str, *, query: str, **parameters: float) -> Any:
        sent = {"query": self.range.fill_in(query), **{name: str(value) for name, value in parameters.items()}}
        answer = self._http.get(f"{self._url}/api/v1/{what}", params=sent)
        return answer.raise_for_status().json()["data"]


def _point(value: Sequence[Any]) -> Point:
    return float(value[0]), float(value[1])

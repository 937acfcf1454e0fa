"""Where values and times lie in a plot, and which of them are written beside it."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

from loadtests.pictures.drawing.words import words
from loadtests.pictures.source import Range

_STEPS_S = (5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
_PX_FOR_A_TIME, _PX_FOR_A_VALUE = 60, 30
_LINE = 14
_PX_OF_A_LETTER = 6


@dataclass(frozen=True)
class Box:
    """A size, in pixels."""

    width: float
    height: float


@dataclass(frozen=True, kw_only=True)
class Plot:
    """The area between the axes, its left upper corner at `left` and `ceiling`; values go from 0 to `top`."""

    left: float = 0
    ceiling: float = 0
    width: float
    height: float
    range: Range
    top: float = 1

    @property
    def floor(self) -> float:
        return self.ceiling + self.height

    def x(self, when: float) -> float:
        return self.left + self.width * (when - self.range.start) / self.range.seconds

    def y(self, value: float) -> float:
        return self.floor - self.height * value / self.top

    def at(self, when: float, value: float) -> str:
        return f"{self.x(when):.1f},{self.y(value):.1f}"


def plot_of(box: Box, range_: Range, most: float, unit: str) -> tuple[Plot, str]:
    """A plot in which all values up to `most` have room, and its axes as SVG."""
    step = _value_step(most or 1, max(2, int(box.height / _PX_FOR_A_VALUE)))
    count = math.ceil((most or 1) / step - 1e-9)
    labels = [short(number * step, unit) for number in range(count + 1)]
    plot = within(box, range_, left=8 + _PX_OF_A_LETTER * max(map(len, labels)), top=count * step)
    lines = [
        f'<path d="M{plot.left} {plot.y(number * step):.1f}h{plot.width:.1f}" class="grid"/>'
        + written(plot.left - 5, plot.y(number * step) + 4, label, "end")
        for number, label in enumerate(labels)
    ]
    return plot, "".join(lines) + times(plot)


def within(box: Box, range_: Range, *, left: float, top: float = 1) -> Plot:
    """A plot in a box, with room for the labels of both axes."""
    return Plot(left=left, ceiling=6, width=box.width - left - 8, height=box.height - _LINE - 10, range=range_, top=top)


def times(plot: Plot) -> str:
    """The axis of time, as SVG."""
    fitting = [step for step in _STEPS_S if plot.range.seconds / step * _PX_FOR_A_TIME <= plot.width]
    step = fitting[0] if fitting else _STEPS_S[-1]
    form = "%H:%M" if step % 60 == 0 else "%H:%M:%S"
    first = math.ceil(plot.range.start / step) * step
    drawn = []
    for when in range(first, math.floor(plot.range.end) + 1, step):
        x = plot.x(when)
        label = f"{datetime.fromtimestamp(when).astimezone():{form}}"
        drawn.append(f'<path d="M{x:.1f} {plot.ceiling}v{plot.height:.1f}" class="grid"/>')
        if plot.left + 10 < x < plot.left + plot.width - 10:
            drawn.append(written(x, plot.floor + _LINE, label, "middle"))
    return "".join(drawn)


def short(value: float, unit: str) -> str:
    """Without zeros at the end, as a place on an axis is a round number."""
    return re.sub(r"(?:\.|(\.\d*[1-9]))0+(?!\d)", r"\1", words(value, unit))


def written(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def svg(box: Box, *parts: str) -> str:
    return f'<svg width="{box.width:.0f}" height="{box.height:.0f}">{"".join(parts)}</svg>'


def most_of(values: Sequence[float]) -> float:
    """The largest, of those that are numbers."""
    return max((value for value in values if math.isfinite(value)), default=0)


def _value_step(most: float, lines: int) -> float:
    """The smallest round number of which `lines` reach as far."""
    power = 10.0 ** math.floor(math.log10(most / lines))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power * lines >= most * (1 - 1e-9))

"""`stat` and `bargauge`: a figure, or a few."""

import math
from collections.abc import Sequence
from html import escape

from loadtests.pictures.drawing.axes import Box, Plot, most_of, svg
from loadtests.pictures.drawing.colours import by_threshold
from loadtests.pictures.drawing.field import Json, answers, defaults, name_of, properties
from loadtests.pictures.drawing.words import words
from loadtests.pictures.source import Point, Range, Source

_CURVE = 0.42
"""The part of the height that a figure's curve takes."""


def stat(panel: Json, source: Source, box: Box) -> str:
    """The last value, in the colour that it deserves, with its course below where the panel asks for one."""
    found = answers(panel, source)
    if not found:
        return '<p class="none">No data</p>'
    if len(found) > 1:
        raise ValueError(f"{panel['title']}: there is room for one figure, not for {len(found)}")
    ((_, series),) = found
    field = defaults(panel)
    shade = by_threshold(series.last, field["thresholds"])
    told = _nothing(field) if math.isnan(series.last) else words(series.last, field["unit"], field.get("decimals"))
    curve = _course(series.points, source.range, box, shade) if panel["options"]["graphMode"] == "area" else ""
    return f'{curve}<div class="figure{" over" if curve else ""}" style="color:{shade}">{escape(told)}</div>'


def bar_gauge(panel: Json, source: Source, _box: Box) -> str:
    """A bar for each series; the longest fills its line."""
    found = [(name_of(target, series.labels), series.last) for target, series in answers(panel, source)]
    if not found:
        return '<p class="none">No data</p>'
    most = most_of([value for _, value in found]) or 1
    return f'<div class="bars">{"".join(_bar(panel, name, value, most) for name, value in found)}</div>'


def _bar(panel: Json, name: str, value: float, most: float) -> str:
    field = properties(panel, name)
    shade = by_threshold(value, field["thresholds"])
    bar = f'<b style="width:{100 * value / most:.1f}%;background:{shade}55;border-color:{shade}"></b>'
    told = words(value, field["unit"], field.get("decimals"))
    return f'<span>{escape(name)}</span><div>{bar}</div><em style="color:{shade}">{escape(told)}</em>'


def _nothing(field: Json) -> str:
    """What is said instead of a number that is none."""
    return next((each["options"]["result"]["text"] for each in field.get("mappings", [])), "NaN")


def _course(points: Sequence[Point], range_: Range, box: Box, shade: str) -> str:
    inside = Box(box.width, box.height * _CURVE)
    most = most_of([value for _, value in points]) or 1
    plot = Plot(width=inside.width, height=inside.height, range=range_, top=1.05 * most)
    line = " ".join(plot.at(when, value) for when, value in points)
    first, last = plot.at(points[0][0], 0), plot.at(points[-1][0], 0)
    area = f'<polygon points="{first} {line} {last}" fill="{shade}" opacity=".12"/>'
    stroke = f'<polyline points="{line}" fill="none" stroke="{shade}"/>'
    return f'<div class="course">{svg(inside, area, stroke)}</div>'

"""`timeseries`: lines, or areas that are stacked, with the dots of single chats and the line to stay under."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from loadtests.pictures.drawing.axes import Box, Plot, most_of, plot_of, svg
from loadtests.pictures.drawing.colours import classic, colour
from loadtests.pictures.drawing.field import Json, answers, defaults, name_of, properties
from loadtests.pictures.drawing.legend import above, beneath, beside, left_of
from loadtests.pictures.source import Point, Source


@dataclass(frozen=True)
class Curve:
    """What it shows, and on top of what it stands: both by time."""

    name: str
    colour: str
    values: Mapping[float, float]
    base: Mapping[float, float]

    @property
    def empty(self) -> bool:
        return not any(self.values.values())

    @property
    def tops(self) -> dict[float, float]:
        return {when: self.base.get(when, 0) + value for when, value in self.values.items()}


def timeseries(panel: Json, source: Source, box: Box) -> str:
    field, legend = defaults(panel), panel["options"]["legend"]
    shown = curves(panel, source)
    if not shown:
        return f'<p class="none">{field.get("noValue", "No data")}</p>'
    is_table = legend["displayMode"] == "table"
    inner = left_of(box, shown, legend["calcs"], field) if is_table else above(box, shown)
    plot, axes = plot_of(
        inner, source.range, most_of([top for each in shown for top in each.tops.values()]), field["unit"]
    )
    custom = field["custom"]
    drawn = [_drawn(plot, each, custom, source.range.step_s) for each in reversed(shown) if not _hidden(each, custom)]
    parts = svg(inner, axes, *drawn, _limit(plot, field), *_dots(plot, panel, source))
    return parts + (beside(shown, legend["calcs"], field) if is_table else beneath(shown))


def curves(panel: Json, source: Source) -> list[Curve]:
    """All, from the bottom of the pile to its top."""
    custom = defaults(panel)["custom"]
    found: list[Curve] = []
    piled: dict[float, float] = {}
    for index, (target, series) in enumerate(answers(panel, source)):
        name = name_of(target, series.labels)
        chosen = properties(panel, name)["color"]
        shade = colour(chosen["fixedColor"]) if chosen["mode"] == "fixed" else classic(index)
        values = {when: value for when, value in series.points if math.isfinite(value)}
        found.append(Curve(name, shade, values, dict(piled)))
        if custom["stacking"]["mode"] == "normal":
            piled |= {when: piled.get(when, 0) + value for when, value in values.items()}
    return found


def _hidden(curve: Curve, custom: Json) -> bool:
    """In a pile, what is nothing would only be a second line over what lies below."""
    return custom["stacking"]["mode"] == "normal" and curve.empty


def _drawn(plot: Plot, curve: Curve, custom: Json, step_s: float) -> str:
    tops, parts = curve.tops, []
    for run in _runs(sorted(curve.values), step_s):
        line = " ".join(plot.at(when, tops[when]) for when in run)
        ground = " ".join(plot.at(when, curve.base.get(when, 0)) for when in reversed(run))
        parts.append(
            f'<polygon points="{line} {ground}" fill="{curve.colour}" opacity="{custom["fillOpacity"] / 100}"/>'
        )
        stroke = f'fill="none" stroke="{curve.colour}" stroke-width="{1.2 * custom["lineWidth"]}"'
        parts.append(f'<polyline points="{line}" {stroke}/>')
    return "".join(parts)


def _runs(times: Sequence[float], step_s: float) -> list[list[float]]:
    """Times without a hole between them: where there is no data, there is no line."""
    gaps = [0, *(int(later - earlier > 1.5 * step_s) for earlier, later in pairwise(times))]
    numbers = [sum(gaps[: index + 1]) for index in range(len(gaps))]
    return [[when for _, when in run] for _, run in groupby(zip(numbers, times, strict=False), lambda each: each[0])]


def _limit(plot: Plot, field: Json) -> str:
    """The dashed line, where it has a place."""
    if field["custom"]["thresholdsStyle"]["mode"] == "off":
        return ""
    steps = [step for step in field["thresholds"]["steps"] if step["value"] is not None and step["value"] <= plot.top]
    return "".join(
        f'<path d="M{plot.left} {plot.y(step["value"]):.1f}h{plot.width:.1f}" stroke="{colour(step["color"])}"'
        ' stroke-dasharray="8 6" opacity=".8"/>'
        for step in steps
    )


def _dots(plot: Plot, panel: Json, source: Source) -> list[str]:
    """Of the chats of a step, the slowest: there is no room for more."""
    asked = [target["expr"] for target in panel["targets"] if target.get("exemplar")]
    slowest: dict[int, Point] = {}
    for when, value in (point for expr in asked for point in source.exemplars(expr)):
        step = int((when - source.range.start) / source.range.step_s)
        if value <= plot.top and value > slowest.get(step, (0, 0))[1]:
            slowest[step] = (when, value)
    return [
        f'<circle cx="{plot.x(when):.1f}" cy="{plot.y(value):.1f}" r="1.8" class="dot"/>'
        for when, value in slowest.values()
    ]

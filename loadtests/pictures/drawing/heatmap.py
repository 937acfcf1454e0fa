"""`heatmap`: how many were how long, when. A line for each bucket, and the lighter, the more."""

import math
from collections.abc import Mapping

from loadtests.pictures.drawing.axes import Box, Plot, short, svg, times, within, written
from loadtests.pictures.drawing.colours import heat
from loadtests.pictures.drawing.field import Json, defaults
from loadtests.pictures.source import Source

_PX_FOR_A_LABEL = 12
_LEFT = 48

Counts = Mapping[float, float]
"""How many there were in a bucket, by time."""


def heatmap(panel: Json, source: Source, box: Box) -> str:
    (target,) = panel["targets"]
    buckets = {float(series.labels["le"]): dict(series.points) for series in source.over(target["expr"])}
    if not buckets:
        return '<p class="none">No data</p>'
    counts = apart(buckets)
    unit, plot, options = defaults(panel)["unit"], within(box, source.range, left=_LEFT), panel["options"]
    row, gap = plot.height / len(counts), options["cellGap"]
    every = math.ceil(_PX_FOR_A_LABEL / row)
    most = max(count for bucket in counts.values() for count in bucket.values()) or 1
    parts = [times(plot)]
    for number, (bound, bucket) in enumerate(counts.items()):
        y = plot.floor - row * (number + 1)
        if number % every == 0:
            label = short(bound, unit) if math.isfinite(bound) else "+Inf"
            parts.append(written(_LEFT - 5, y + row / 2 + 4, label, "end"))
        for when, count in bucket.items():
            if count > options["filterValues"]["le"]:
                left, width = _until(plot, when)
                size = f'width="{max(0, width - gap):.1f}" height="{row - gap:.1f}"'
                parts.append(f'<rect x="{left:.1f}" y="{y:.1f}" {size} fill="{heat(count / most)}"/>')
    return svg(box, *parts)


def apart(buckets: Mapping[float, Counts]) -> dict[float, Counts]:
    """Prometheus counts in each bucket what is in all smaller ones too; here each has its own."""
    alone: dict[float, Counts] = {}
    below: Counts = {}
    for bound, counts in sorted(buckets.items()):
        alone[bound] = {when: max(0, count - below.get(when, 0)) for when, count in counts.items()}
        below = counts
    return alone


def _until(plot: Plot, when: float) -> tuple[float, float]:
    """Where the step that ended then begins, and how wide it is."""
    left = max(plot.left, plot.x(when - plot.range.step_s))
    return left, plot.x(when) - left

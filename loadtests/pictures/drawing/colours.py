"""Grafana's dark colours by their names, its palettes, and what thresholds make of a value."""

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]

_SHADES = ("super-light", "light", "", "semi-dark", "dark")
_HUES = {
    "red": ("#FFA6B0", "#FF7383", "#F2495C", "#E02F44", "#C4162A"),
    "orange": ("#FFCB7D", "#FFB357", "#FF9830", "#FF780A", "#FA6400"),
    "yellow": ("#FFF899", "#FFEE52", "#FADE2A", "#F2CC0C", "#E0B400"),
    "green": ("#C8F2C2", "#96D98D", "#73BF69", "#56A64B", "#37872D"),
    "blue": ("#C0D8FF", "#8AB8FF", "#5794F2", "#3274D9", "#1F60C4"),
    "purple": ("#DEB6F2", "#CA95E5", "#B877D9", "#A352CC", "#8F3BB8"),
}
_NAMED = {
    "-".join(filter(None, (shade, hue))): colour
    for hue, colours in _HUES.items()
    for shade, colour in zip(_SHADES, colours, strict=True)
} | {"text": "#ccccdc", "transparent": "transparent"}

_CLASSIC = (
    "green", "semi-dark-yellow", "light-blue", "semi-dark-orange", "red", "blue", "purple", "light-green", "yellow",
)  # fmt: skip
"""Who is told no colour gets the next of these."""

_ORANGES = ("#7f2704", "#a63603", "#d94801", "#f16913", "#fd8d3c", "#fdae6b", "#fdd0a2", "#fee6ce", "#fff5eb")
"""The scheme of heatmaps; on dark ground, more is lighter."""


def colour(name: str) -> str:
    return _NAMED[name]


def classic(index: int) -> str:
    return colour(_CLASSIC[index % len(_CLASSIC)])


def by_threshold(value: float, thresholds: Json) -> str:
    """The colour of the last step that the value has reached; the first step has no value, and is always reached."""
    reached = [step["color"] for step in thresholds["steps"] if step["value"] is None or value >= step["value"]]
    return colour(reached[-1])


def heat(part: float) -> str:
    """Of the hottest, from 0 to 1."""
    return _ORANGES[min(len(_ORANGES) - 1, int(part * len(_ORANGES)))]

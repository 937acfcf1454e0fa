"""The page: title, rows, and each panel in its place."""

from collections.abc import Callable
from datetime import datetime
from html import escape
from pathlib import Path

from loadtests.pictures.drawing.axes import Box
from loadtests.pictures.drawing.curves import timeseries
from loadtests.pictures.drawing.field import Json
from loadtests.pictures.drawing.figures import bar_gauge, stat
from loadtests.pictures.drawing.heatmap import heatmap
from loadtests.pictures.drawing.table import table
from loadtests.pictures.source import Range, Source

WIDTH = 1040
"""About as wide as a README is shown, so that letters stay letters."""

_COLUMNS, _LINE, _GAP, _EDGE, _HEAD, _TITLE = 24, 29, 6, 10, 40, 26

_KINDS: dict[str, Callable[[Json, Source, Box], str]] = {
    "timeseries": timeseries,
    "stat": stat,
    "bargauge": bar_gauge,
    "heatmap": heatmap,
    "table": table,
}

_STYLE = Path(__file__).with_name("style.css").read_text(encoding="utf-8")


def drawn(dashboard: Json, source: Source) -> str:
    """The whole page, as tall as its lowest panel ends."""
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
    panels = "".join(_placed(panel, source) for panel in dashboard["panels"])
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(dashboard["title"])}</title>'
        f"<style>{_STYLE} body {{ height: {_HEAD + bottom * _LINE + _EDGE}px }}</style>"
        f"<body>{_header(dashboard, source.range)}{panels}</body></html>"
    )


def _header(dashboard: Json, range_: Range) -> str:
    start, end = (datetime.fromtimestamp(when).astimezone() for when in (range_.start, range_.end))
    chosen = "".join(
        f"<span><small>{escape(each['label'])}</small>{escape(', '.join(each['current']['text']))}</span>"
        for each in dashboard["templating"]["list"]
    )
    shown = f"<span>{start:%Y-%m-%d %H:%M:%S} to {end:%H:%M:%S}</span>"
    return f"<header><b>{escape(dashboard['title'])}</b>{chosen}{shown}</header>"


def _placed(panel: Json, source: Source) -> str:
    place = panel["gridPos"]
    column = (WIDTH - 2 * _EDGE + _GAP) / _COLUMNS
    left, top = _EDGE + place["x"] * column, _HEAD + place["y"] * _LINE
    if panel["type"] == "row":
        return f'<h2 style="left:{left + 4:.1f}px;top:{top + 5:.1f}px">{escape(panel["title"])}</h2>'
    if panel["type"] not in _KINDS:
        raise ValueError(f"{panel['title']}: nobody knows how to draw a {panel['type']}")
    width, height = place["w"] * column - _GAP, place["h"] * _LINE - _GAP
    body = _KINDS[panel["type"]](panel, source, Box(width - 2, height - 2 - _TITLE))
    size = f"left:{left:.1f}px;top:{top:.1f}px;width:{width:.1f}px;height:{height:.1f}px"
    return f'<section style="{size}"><h3>{escape(panel["title"])}</h3><div>{body}</div></section>'

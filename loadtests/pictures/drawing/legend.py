"""What stands beneath or beside curves: their names, and what they come to."""

import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from html import escape
from typing import Protocol

from loadtests.pictures.drawing.axes import Box
from loadtests.pictures.drawing.field import Json
from loadtests.pictures.drawing.words import words

_LINE_PX, _SWATCH_PX, _LETTER_PX, _CELL_PX = 17, 24, 5.3, 13
_CALCULATED: dict[str, Callable[[Collection[float]], float]] = {"mean": statistics.fmean, "max": max}


class Named(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def colour(self) -> str: ...
    @property
    def values(self) -> Mapping[float, float]: ...
    @property
    def empty(self) -> bool: ...


def left_of(box: Box, curves: Sequence[Named], calculations: Sequence[str], field: Json) -> Box:
    """What a legend beside the curves leaves of a box."""
    rows = [(each.name, *_calculated(each, calculations, field)) for each in curves if not each.empty]
    columns = [max(map(len, column)) for column in zip(("", *calculations), *rows, strict=True)]
    return Box(box.width - _SWATCH_PX - sum(_LETTER_PX * letters + _CELL_PX for letters in columns), box.height)


def above(box: Box, curves: Sequence[Named]) -> Box:
    """What a legend beneath the curves leaves of a box: long names need a second line."""
    lines, at = 1, 0.0
    for each in curves:
        width = _SWATCH_PX + _CELL_PX + _LETTER_PX * len(each.name)
        lines, at = (lines + 1, width) if at and at + width > box.width else (lines, at + width)
    return Box(box.width, box.height - _LINE_PX * lines - 4)


def beneath(curves: Sequence[Named]) -> str:
    return f'<div class="beneath">{"".join(f"<span>{_swatch(each)}</span>" for each in curves)}</div>'


def beside(curves: Sequence[Named], calculations: Sequence[str], field: Json) -> str:
    """A table; those that are always 0 are told of in one line, so that the others have room."""
    head = "".join(f"<th>{each.capitalize()}</th>" for each in calculations)
    rows = "".join(_row(each, calculations, field) for each in curves if not each.empty)
    silent = sum(each.empty and bool(each.values) for each in curves)
    rest = f'<tr class="rest"><td colspan="{1 + len(calculations)}">{silent} more, at 0 throughout</td></tr>'
    return f'<table class="beside"><tr><th></th>{head}</tr>{rows}{rest if silent else ""}</table>'


def _row(curve: Named, calculations: Sequence[str], field: Json) -> str:
    cells = "".join(f"<td>{each}</td>" for each in _calculated(curve, calculations, field))
    return f"<tr><td>{_swatch(curve)}</td>{cells}</tr>"


def _calculated(curve: Named, calculations: Sequence[str], field: Json) -> list[str]:
    return [words(_CALCULATED[each](curve.values.values()), field["unit"]) for each in calculations]


def _swatch(curve: Named) -> str:
    return f'<i style="background:{curve.colour}"></i>{escape(curve.name)}'

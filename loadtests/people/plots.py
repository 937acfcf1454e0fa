"""Lines over time, as SVG that needs nothing else."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

_WIDTH, _HEIGHT = 560, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 34, 26
_COLORS = ("#1f77b4", "#d95f02")
_MEANT = {"good": "#1b7a3d", "bad": "#c62828", "neither": "#8a8a8a"}
_LIMIT = "#c62828"
_NICE = (1, 2, 2.5, 5, 10)

Values = Sequence[float | None]


def plot(title: str, unit: str, at_s: Sequence[float], lines: Mapping[str, Values], limit: float | None = None) -> str:
    """A gap where a value is None; `limit` is drawn only where the lines come near it."""
    known = [value for values in lines.values() for value in values if value is not None]
    highest = max(known, default=0)
    shown = limit is not None and highest > limit / 4
    top = _nice(max(highest, limit or 0) if shown else highest)
    parts = [f'<svg class="plot" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">']
    parts += [f'<text x="0" y="13" class="title">{escape(title)}</text>', *_legend(lines), *_grid(top, unit, at_s)]
    if shown and limit is not None:
        y = _y(limit, top)
        parts.append(f'<path d="M{_LEFT} {y}H{_WIDTH - _RIGHT}" stroke="{_LIMIT}" stroke-dasharray="5 4"/>')
        beside = y + 13 if y < _HEIGHT / 2 else y - 5
        parts.append(f'<text x="{_LEFT + 4}" y="{beside}" fill="{_LIMIT}">promised</text>')
    last_s = at_s[-1] if at_s else 1
    for color, values in zip(_colors(lines), lines.values(), strict=True):
        path = _path(at_s, values, last_s, top)
        parts.append(f'<path d="{path}" fill="none" stroke="{color}" stroke-width="2" stroke-linecap="round"/>')
    return "\n".join([*parts, "</svg>"])


def _path(at_s: Sequence[float], values: Values, last_s: float, top: float) -> str:
    """A value on its own, between two gaps, is a dot."""
    steps, draws = [], False
    for at, value in zip(at_s, values, strict=True):
        if value is not None:
            steps.append(f"{'L' if draws else 'M'}{_x(at, last_s)} {_y(value, top)}" + ("" if draws else "h0"))
        draws = value is not None
    return "".join(steps)


def _legend(names: Mapping[str, Values]) -> list[str]:
    parts, at = [], _WIDTH - _RIGHT
    for color, name in reversed(list(zip(_colors(names), names, strict=True))):
        parts.append(f'<text x="{at}" y="13" text-anchor="end" fill="{color}">{escape(name)}</text>')
        at -= 7 * len(name) + 18
    return parts


def _colors(names: Iterable[str]) -> list[str]:
    return [_MEANT.get(name) or _COLORS[at] for at, name in enumerate(names)]


def _grid(top: float, unit: str, at_s: Sequence[float]) -> list[str]:
    parts = []
    for part in range(5):
        value = top * part / 4
        y = _y(value, top)
        label = f"{value:.4g}{' ' + unit if part == 4 and unit else ''}"
        parts.append(f'<path d="M{_LEFT} {y}H{_WIDTH - _RIGHT}" class="grid"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{label}</text>')
    last_s = at_s[-1] if at_s else 1
    for part in range(5):
        x, anchor = _x(last_s * part / 4, last_s), "end" if part == 4 else "middle"
        parts.append(f'<text x="{x}" y="{_HEIGHT - 6}" text-anchor="{anchor}">{last_s * part / 4:.3g} s</text>')
    return parts


def _x(at_s: float, last_s: float) -> float:
    return round(_LEFT + (_WIDTH - _LEFT - _RIGHT) * at_s / last_s, 1)


def _y(value: float, top: float) -> float:
    return round(_HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value / top, 1)


def _nice(value: float) -> float:
    """The least of 1, 2, 2.5, 5, 10 … that is no less."""
    if value <= 0:
        return 1
    scale = 10.0 ** (len(f"{value:.0f}") - 1) if value >= 1 else 10.0 ** -(len(f"{1 / value:.0f}"))
    return next((step * scale for step in _NICE if step * scale >= value), value)

"""Numbers with their units, as Grafana writes them."""

import math
from collections.abc import Sequence

Scale = Sequence[tuple[float, str]]

_SHORT: Scale = ((1e9, " Bil"), (1e6, " Mil"), (1e3, " K"), (1, ""))
_SECONDS: Scale = ((3600, " hours"), (60, " mins"), (1, " s"), (1e-3, " ms"), (1e-6, " µs"))


def words(value: float, unit: str = "", decimals: int | None = None) -> str:
    """As many decimals as the field wants, or as make three digits."""
    match unit.split(":"):
        case ["percentunit"]:
            return _number(value * 100, decimals) + "%"
        case ["currencyUSD"]:
            return "$" + _number(value, decimals)
        case ["reqps"]:
            return _number(value, decimals) + " req/s"
        case ["suffix", name]:
            return f"{_number(value, decimals)} {name}"
        case ["s"]:
            return _scaled(value, decimals, _SECONDS) if value else "0 s"
        case [""] | ["short"]:
            return _scaled(value, decimals, _SHORT)
        case _:
            raise ValueError(f"there are no words for the unit {unit}")


def _scaled(value: float, decimals: int | None, scale: Scale) -> str:
    """In the largest size that is no larger than the value, or than what rounding took a little from."""
    fitting = [(size, name) for size, name in scale if abs(value) * (1 + 1e-9) >= size]
    size, name = fitting[0] if fitting else scale[-1]
    return _number(value / size, decimals) + name


def _number(value: float, decimals: int | None) -> str:
    if math.isnan(value):
        return "NaN"
    if decimals is None:
        whole = math.isclose(value, round(value), rel_tol=1e-9)
        decimals = 0 if whole else max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{decimals}f}"

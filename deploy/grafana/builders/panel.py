"""Panels as Grafana's JSON, one function for each kind; dashboard.py positions them."""

from collections.abc import Mapping, Sequence

from builders.query import Json, percentile, promql

QUANTILE_INTERVAL = "1m"
"""The least interval of panels with quantiles: over the 20 s of four scrapes, a p99 of 50 chats is a single chat."""
NO_DATA = {"type": "special", "options": {"match": "null+nan", "result": {"text": "no chats", "index": 0}}}


def thresholds(first: str, *steps: tuple[float, str]) -> Json:
    """The lowest colour, and steps of (value from which it applies, colour)."""
    levels = [{"color": first, "value": None}, *({"color": colour, "value": value} for value, colour in steps)]
    return {"mode": "absolute", "steps": levels}


def stat(
    title: str,
    description: str,
    *targets: Json,
    unit: str,
    levels: Json | None = None,
    overrides: Sequence[Json] = (),
    width: int = 0,
    **more: object,
) -> Json:
    """One large number for each series, coloured by `levels`."""
    defaults = {"unit": unit, "color": {"mode": "thresholds"}, "thresholds": levels or thresholds("text")}
    options = {
        "colorMode": "value",
        "graphMode": "area" if any(target.get("range") for target in targets) else "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "auto",
        "wideLayout": True,
    }
    return _panel(
        "stat", title, description, targets, defaults | {"mappings": [NO_DATA]} | more, options, overrides, width=width
    )


def timeseries(
    title: str,
    description: str,
    *targets: Json,
    unit: str,
    stacked: bool = False,
    bars: bool = False,
    logarithmic: bool = False,
    limit: float | None = None,
    colours: Mapping[str, str] | None = None,
    legend: str = "list",
    width: int = 0,
    **more: object,
) -> Json:
    """Lines or bars over time; `limit` draws a dashed threshold."""
    custom = {
        "drawStyle": "bars" if bars else "line",
        "fillOpacity": 70 if bars else 30 if stacked else 8,
        "lineWidth": 0 if bars else 1,
        "scaleDistribution": {"type": "log", "log": 10} if logarithmic else {"type": "linear"},
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "off" if limit is None else "dashed"},
    }
    defaults: Json = {"unit": unit, "color": {"mode": "palette-classic"}, "custom": custom}
    if not logarithmic:
        defaults["min"] = 0
    if limit is not None:
        defaults["thresholds"] = thresholds("transparent", (limit, "red"))
    options = {
        "legend": {
            "calcs": ["mean", "max"] if legend == "table" else [],
            "displayMode": legend,
            "placement": "bottom" if legend == "list" else "right",
            "showLegend": True,
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    overrides = [override(name, color=_fixed(colour)) for name, colour in (colours or {}).items()]
    return _panel("timeseries", title, description, targets, defaults | more, options, overrides, width=width)


def percentiles(
    title: str, description: str, histogram: str, selector: str = "", *, limit: float | None = None, width: int = 0
) -> Json:
    """p50, p95 and p99 of a histogram; each dot is an exemplar with a link to its trace."""
    named = (("p50", 0.5, "green"), ("p95", 0.95, "yellow"), ("p99", 0.99, "orange"))
    curves = (
        promql(percentile(quantile, histogram, selector), name, exemplars=name == "p99") for name, quantile, _ in named
    )
    colours = {name: colour for name, _, colour in named}
    return timeseries(title, description, *curves, unit="s", limit=limit, colours=colours, width=width)


def heatmap(title: str, description: str, target: Json, *, unit: str, width: int = 0) -> Json:
    """The distribution of a histogram over time."""
    options = {
        "calculate": False,
        "cellGap": 1,
        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64, "exponent": 0.5, "fill": "dark-orange"},
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "tooltip": {"mode": "single", "yHistogram": True, "showColorScale": False},
        "yAxis": {"axisPlacement": "left", "reverse": False, "unit": unit},
    }
    return _panel("heatmap", title, description, [target], {"unit": unit}, options, width=width)


def bar_gauge(
    title: str, description: str, *targets: Json, unit: str, levels: Json | None = None, width: int = 0, **more: object
) -> Json:
    defaults = {"unit": unit, "min": 0, "color": {"mode": "thresholds"}, "thresholds": levels or thresholds("blue")}
    options = {
        "displayMode": "basic",
        "legend": {"showLegend": False, "displayMode": "list", "placement": "bottom", "calcs": []},
        "namePlacement": "auto",
        "orientation": "horizontal",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "showUnfilled": True,
        "sizing": "auto",
        "valueMode": "color",
    }
    return _panel("bargauge", title, description, targets, defaults | more, options, width=width)


def table(
    title: str,
    description: str,
    *targets: Json,
    columns: Sequence[Json] = (),
    transformations: Sequence[Json] = (),
    width: int = 0,
    **more: object,
) -> Json:
    """A table; `columns` are overrides for columns that need a unit, a link or a colour."""
    defaults = {"custom": {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": False, "inspect": False}}
    options = {"cellHeight": "sm", "showHeader": True}
    panel = _panel("table", title, description, targets, defaults | more, options, columns, width=width)
    return panel | ({"transformations": list(transformations)} if transformations else {})


def traces(title: str, description: str, target: Json, *, width: int = 0) -> Json:
    return _panel("traces", title, description, [target], {}, {}, width=width)


def override(column: str, **properties: object) -> Json:
    """Properties of one column or series; `custom__width` sets Grafana's `custom.width`."""
    listed = [{"id": name.replace("__", "."), "value": value} for name, value in properties.items()]
    return {"matcher": {"id": "byName", "options": column}, "properties": listed}


def link(title: str, url: str, *, new_tab: bool = False) -> Json:
    return {"title": title, "url": url, "targetBlank": new_tab}


def coloured(colours: Mapping[str, str]) -> Json:
    """Properties of a column whose values have colours."""
    values = {value: {"color": colour, "index": index} for index, (value, colour) in enumerate(colours.items())}
    return {"mappings": [{"type": "value", "options": values}], "custom__cellOptions": {"type": "color-text"}}


def _fixed(colour: str) -> Json:
    return {"mode": "fixed", "fixedColor": colour}


def _panel(  # noqa: PLR0917 - the properties of every panel, in Grafana's order
    kind: str,
    title: str,
    description: str,
    targets: Sequence[Json],
    defaults: Json,
    options: Json,
    overrides: Sequence[Json] = (),
    *,
    width: int,
) -> Json:
    """`may_be_empty` is the text that a panel without data shows."""
    if reason := defaults.pop("may_be_empty", None):
        defaults["noValue"] = reason
    quantiles = any("histogram_quantile" in target.get("expr", "") for target in targets)
    return {
        "type": kind,
        "title": title,
        "description": " ".join(description.split()),
        "datasource": targets[0]["datasource"],
        "targets": [{"refId": chr(ord("A") + index)} | target for index, target in enumerate(targets)],
        "fieldConfig": {"defaults": defaults, "overrides": list(overrides)},
        "options": options,
        "gridPos": {"w": width},
        **({"interval": QUANTILE_INTERVAL} if quantiles else {}),
    }

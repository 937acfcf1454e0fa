"""`table`: what the queries answer, joined by their labels, in the columns that the panel wants."""

from html import escape

from loadtests.pictures.drawing.axes import Box
from loadtests.pictures.drawing.colours import by_threshold
from loadtests.pictures.drawing.field import Json, defaults, properties
from loadtests.pictures.drawing.words import words
from loadtests.pictures.source import Source

Cell = str | float
Row = dict[str, Cell]


def table(panel: Json, source: Source, _box: Box) -> str:
    shown = rows(panel, source)
    if not shown:
        return f'<p class="none">{escape(defaults(panel).get("noValue", "No data"))}</p>'
    columns = list(dict.fromkeys(name for row in shown for name in row))
    head = "".join(f"<th{_look(panel, name, shown[0].get(name))}>{escape(name)}</th>" for name in columns)
    body = "".join(f"<tr>{''.join(_cell(panel, name, row.get(name)) for name in columns)}</tr>" for row in shown)
    return f'<table class="rows"><tr>{head}</tr>{body}</table>'


def rows(panel: Json, source: Source) -> list[Row]:
    """In the order and by the names that `organize` gives; series with the same labels share a row."""
    several = len(panel["targets"]) > 1
    merged: dict[tuple[tuple[str, str], ...], Row] = {}
    for target in panel["targets"]:
        for series in source.now(target["expr"]):
            row = merged.setdefault(tuple(sorted(series.labels.items())), dict(series.labels))
            row[f"Value #{target['refId']}" if several else "Value"] = series.last
    return [_organized(panel, row) for row in merged.values()]


def _organized(panel: Json, row: Row) -> Row:
    for transformation in panel.get("transformations", []):
        if transformation["id"] == "organize":
            options = transformation["options"]
            place, renamed = options["indexByName"], options.get("renameByName", {})
            kept = [name for name in row if not options["excludeByName"].get(name)]
            row = {renamed.get(name, name): row[name] for name in sorted(kept, key=lambda name: place.get(name, 99))}
        elif transformation["id"] != "merge":
            raise ValueError(f"{panel['title']}: nobody knows how to {transformation['id']}")
    return row


def _look(panel: Json, name: str, value: Cell | None) -> str:
    """Of a column's heading."""
    width = properties(panel, name).get("custom.width")
    return (f' style="width:{width}px"' if width else "") + (' class="number"' if isinstance(value, float) else "")


def _cell(panel: Json, name: str, value: Cell | None) -> str:
    field = properties(panel, name)
    if not isinstance(value, float):
        return f"<td>{escape(value or '')}</td>"
    coloured = field.get("custom.cellOptions", {}).get("type") == "color-text"
    style = f' style="color:{by_threshold(value, field["thresholds"])}"' if coloured else ""
    return f'<td class="number"{style}>{escape(words(value, field.get("unit", ""), field.get("decimals")))}</td>'

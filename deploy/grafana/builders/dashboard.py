"""A dashboard: rows of panels in 24 columns, variables, and links to the other dashboards."""

from collections.abc import Sequence

from builders.query import POSTGRES, PROMETHEUS, Json

COLUMNS = 24
UIDS = {"Overview": "chat-overview", "Groq": "chat-groq", "Workers": "chat-workers", "Chats": "chat-chats"}

_ALL = {"text": ["All"], "value": ["$__all"]}


def line(height: int, *panels: Json) -> list[Json]:
    """Panels side by side with `height`; panels without a width share the remaining columns equally.

    Raises ValueError if columns remain empty.
    """
    remaining = COLUMNS - sum(panel["gridPos"]["w"] for panel in panels)
    sharing = [panel for panel in panels if not panel["gridPos"]["w"]]
    if sharing:
        remaining -= (share := remaining // len(sharing)) * len(sharing)
        for panel in sharing:
            panel["gridPos"]["w"] = share
    if remaining:
        raise ValueError(f"{panels[0]['title']}: {remaining} of {COLUMNS} columns are empty")
    for panel in panels:
        panel["gridPos"]["h"] = height
    return list(panels)


def row(title: str, *lines: list[Json]) -> list[list[Json]]:
    """A heading and the lines of panels below it."""
    heading = {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"w": COLUMNS, "h": 1}}
    return [[heading], *lines]


def dashboard(page: str, description: str, *rows: list[list[Json]], variables: Sequence[Json] = ()) -> Json:
    return {
        "uid": UIDS[page],
        "title": page if page != "Overview" else "Overview & SLO",
        "description": " ".join(description.split()),
        "tags": ["chat", page.lower()],
        "schemaVersion": 42,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,  # one crosshair over all panels
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timepicker": {},
        "timezone": "browser",
        "annotations": {"list": []},
        "links": [_link(other, uid) for other, uid in UIDS.items() if other != page],
        "templating": {"list": list(variables)},
        "panels": _lay_out(rows),
    }


def label_variable(name: str, label: str, metric: str) -> Json:
    """A variable with the values of a label; *All* also selects series without the label."""
    return _label_values(name, metric, name) | {"label": label} | _choice(all_value=".*")


def hidden_variable(name: str, metric: str, label: str) -> Json:
    """The value of the label, for links."""
    return _label_values(name, metric, label) | {"refresh": 2, "hide": 2, "options": []}


def _label_values(name: str, metric: str, label: str) -> Json:
    query = f"label_values({metric}, {label})"
    return {
        "type": "query",
        "name": name,
        "datasource": PROMETHEUS,
        "definition": query,
        "query": {"qryType": 1, "query": query, "refId": "Variable"},
    }


def sql_variable(name: str, label: str, text: str, *, hidden: bool = False) -> Json:
    """A variable with the rows of a query; a hidden variable has the first row."""
    query = {"type": "query", "name": name, "label": label, "datasource": POSTGRES, "definition": text, "query": text}
    return query | ({"refresh": 2, "hide": 2, "options": []} if hidden else _choice())


def list_variable(name: str, label: str, values: Sequence[str]) -> Json:
    return {"type": "custom", "name": name, "label": label, "query": ",".join(values)} | _choice()


def text_variable(name: str, label: str, description: str) -> Json:
    empty = {"text": "", "value": ""}
    return {
        "type": "textbox",
        "name": name,
        "label": label,
        "description": description,
        "query": "",
        "current": empty,
        "options": [empty | {"selected": True}],
    }


def _choice(all_value: str | None = None) -> Json:
    return {
        "multi": True,
        "includeAll": True,
        "allValue": all_value,
        "current": _ALL,
        "options": [],
        "refresh": 2,  # when the time range changes
        "sort": 1,
    }


def _link(page: str, uid: str) -> Json:
    return {
        "type": "link",
        "title": page,
        "url": f"/d/{uid}",
        "icon": "dashboard",
        "tooltip": "",
        "tags": [],
        "asDropdown": False,
        "includeVars": False,
        "keepTime": True,
        "targetBlank": False,
    }


def _lay_out(rows: Sequence[list[list[Json]]]) -> list[Json]:
    placed: list[Json] = []
    y = 0
    for panels in (line_ for row_ in rows for line_ in row_):
        x = 0
        for panel in panels:
            size = panel["gridPos"]
            placed.append({"id": len(placed) + 1} | panel | {"gridPos": size | {"x": x, "y": y}})
            x += size["w"]
        y += panels[0]["gridPos"]["h"]
    return placed

"""What a panel's JSON says of one of its curves or columns."""

import re
from typing import Any

from loadtests.pictures.source import Labels, Series, Source

Json = dict[str, Any]

_PLACE = re.compile(r"{{\s*(\w+)\s*}}")


def defaults(panel: Json) -> Json:
    found: Json = panel["fieldConfig"]["defaults"]
    return found


def properties(panel: Json, name: str) -> Json:
    """What holds for this name: the panel's defaults, and what is overridden."""
    own = {
        each["id"]: each["value"]
        for override in panel["fieldConfig"]["overrides"]
        if override["matcher"] == {"id": "byName", "options": name}
        for each in override["properties"]
    }
    return defaults(panel) | own


def name_of(target: Json, labels: Labels) -> str:
    """As the target's legend says; without one, the labels as Prometheus writes them."""
    legend: str = target["legendFormat"]
    if legend != "__auto":
        return _PLACE.sub(lambda match: labels.get(match[1], ""), legend)
    inside = ", ".join(f'{label}="{value}"' for label, value in labels.items() if label != "__name__")
    return labels.get("__name__", "") + ("{" + inside + "}" if inside else "")


def answers(panel: Json, source: Source) -> list[tuple[Json, Series]]:
    """Each series of each of the panel's queries, with the query."""
    return [
        (target, series)
        for target in panel["targets"]
        for series in (source.over if target["range"] else source.now)(target["expr"])
    ]

"""JSON schemas of the Prometheus Operator's and the Gateway API's resources, which kubernetes-validate does not have.

They allow only the fields that are used here. Before you use another field, add it from the API reference.
"""

from typing import Any

TEXT = {"type": "string", "minLength": 1}
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
DURATION = {"type": "string", "pattern": r"^(\d+(ms|[smhdwy]))+$"}


def closed(required: str, **fields: Any) -> dict[str, Any]:
    """An object with only these fields."""
    return {"type": "object", "additionalProperties": False, "required": required.split(), "properties": fields}


def many(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": of}


def resource(spec: dict[str, Any]) -> dict[str, Any]:
    """A resource with this spec; SCHEMAS has its version and kind."""
    metadata = closed("name", name=TEXT, namespace=TEXT, labels=TEXTS)
    return closed("apiVersion kind metadata spec", apiVersion=TEXT, kind=TEXT, metadata=metadata, spec=spec)


RELABELING = closed("targetLabel", sourceLabels=many(TEXT), regex=TEXT, replacement=TEXT, targetLabel=TEXT)
ENDPOINT = closed("port", port=TEXT, interval=DURATION, relabelings=many(RELABELING))
POD_MONITOR = closed(
    "selector podMetricsEndpoints",
    selector=closed("matchLabels", matchLabels=TEXTS),
    podMetricsEndpoints=many(ENDPOINT),
)

DURATIONS = {"for": DURATION, "keep_firing_for": DURATION}
RULES = [
    closed("record expr", record=TEXT, expr=TEXT, labels=TEXTS),
    closed("alert expr", alert=TEXT, expr=TEXT, labels=TEXTS, annotations=TEXTS, **DURATIONS),
]
GROUP = closed("name rules", name=TEXT, interval=DURATION, rules=many({"oneOf": RULES}))

PORT = {"type": "integer", "minimum": 1, "maximum": 65535}
PATH = closed("type value", type={"enum": ["Exact", "PathPrefix"]}, value={"type": "string", "pattern": "^/"})
ROUTE = closed(
    "backendRefs",
    matches=many(closed("path", path=PATH)),
    timeouts=closed("request", request=DURATION),
    backendRefs=many(closed("name port", name=TEXT, port=PORT)),
)
HTTP_ROUTE = closed(
    "parentRefs rules",
    parentRefs=many(closed("name", name=TEXT, namespace=TEXT)),
    hostnames=many(TEXT),
    rules=many(ROUTE),
)

SCHEMAS = {
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): resource(HTTP_ROUTE),
    ("monitoring.coreos.com/v1", "PodMonitor"): resource(POD_MONITOR),
    ("monitoring.coreos.com/v1", "PrometheusRule"): resource(closed("groups", groups=many(GROUP))),
}

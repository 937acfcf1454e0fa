"""Data sources, by the uids in provisioning/, and queries of them."""

from typing import Any

Json = dict[str, Any]

PROMETHEUS: Json = {"type": "prometheus", "uid": "prometheus"}
JAEGER: Json = {"type": "jaeger", "uid": "jaeger"}
POSTGRES: Json = {"type": "grafana-postgresql-datasource", "uid": "postgres"}


def promql(expr: str, legend: str = "", *, exemplars: bool = False) -> Json:
    """A range query; `legend` names its series and may contain {{label}}."""
    return _prometheus(expr, legend, "time_series") | {"range": True, "instant": False, "exemplar": exemplars}


def promql_now(expr: str, legend: str = "", *, table: bool = False) -> Json:
    """An instant query at the end of the time range."""
    return _prometheus(expr, legend, "table" if table else "time_series") | {"range": False, "instant": True}


def promql_heatmap(expr: str) -> Json:
    """A range query of a histogram's buckets."""
    return _prometheus(expr, "{{le}}", "heatmap") | {"range": True, "instant": False, "exemplar": True}


def percentile(quantile: float, histogram: str, selector: str = "", *, by: str = "") -> str:
    """PromQL for a percentile over all workers, or for each value of the label `by`."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({quantile}, sum by ({labels}) (rate({histogram}_bucket{selector}[$__rate_interval])))"


def sql(text: str, *, over_time: bool = False) -> Json:
    """Rows of a table; with `over_time` series, from the columns time, metric and value."""
    return {
        "datasource": POSTGRES,
        "editorMode": "code",
        "format": "time_series" if over_time else "table",
        "rawQuery": True,
        "rawSql": text.strip(),
    }


def trace(trace_id: str) -> Json:
    """One trace; the empty query type selects it by its id."""
    return {"datasource": JAEGER, "query": trace_id, "queryType": ""}


def _prometheus(expr: str, legend: str, form: str) -> Json:
    return {
        "datasource": PROMETHEUS,
        "editorMode": "code",
        "expr": " ".join(expr.split()),
        "format": form,
        "legendFormat": legend or "__auto",
    }

"""Properties of single panels."""

from tests.deploy.grafana import Json, dashboards, panels

PANELS = [panel for page in dashboards() for panel in panels(page)]


def queries(panel: Json) -> str:
    return " ".join(target.get("expr", "") for target in panel["targets"])


def test_quantiles_cover_at_least_a_minute() -> None:
    """`$__rate_interval` would be 20 s, in which 50 chats have no p99."""
    quantiles = [panel for panel in PANELS if "histogram_quantile" in queries(panel)]
    assert len(quantiles) > 5
    assert {panel["interval"] for panel in quantiles} == {"1m"}


def test_headroom_is_hidden_when_it_is_stale() -> None:
    shown = [panel for panel in PANELS if "groq_ratelimit_remaining" in queries(panel) and panel["type"] != "table"]
    assert len(shown) == 2
    for panel in shown:
        assert "time() - groq_ratelimit_updated_timestamp_seconds < 120" in queries(panel)
        assert panel["fieldConfig"]["defaults"]["noValue"]


def test_stale_lines_of_the_rate_limit_table_are_grey() -> None:
    (table,) = [panel for panel in PANELS if panel["title"] == "Rate limits by model"]
    (age,) = [each for each in table["fieldConfig"]["overrides"] if each["matcher"]["options"] == "age"]
    properties = {each["id"]: each["value"] for each in age["properties"]}
    assert properties["custom.cellOptions"]["applyToRow"]
    assert [step["value"] for step in properties["thresholds"]["steps"]] == [None, 120]

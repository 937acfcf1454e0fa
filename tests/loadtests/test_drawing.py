"""A dashboard is drawn: what is shown is what its JSON asked and what it was answered."""

import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from playwright.sync_api import Browser

from loadtests.pictures.drawing.axes import Box
from loadtests.pictures.drawing.colours import by_threshold, colour
from loadtests.pictures.drawing.curves import curves, timeseries
from loadtests.pictures.drawing.dashboard import WIDTH, drawn
from loadtests.pictures.drawing.heatmap import apart
from loadtests.pictures.drawing.table import rows
from loadtests.pictures.drawing.words import words
from loadtests.pictures.source import Point, Range, Series
from loadtests.pictures.weather import MODELS
from tests.support.browser import chromium
from tests.support.grafana import dashboards, panels

_VALUES = {
    "outcome": ("client_disconnected", "client_stalled", "completed", "upstream_rate_limited"),
    "le": ("0.5", "1.0", "+Inf"),
    "model": MODELS,
    "sloth_slo": ("availability", "time-to-first-token"),
}
_BY = re.compile(r"by \((\w+)\)")


class Made:
    """Answers whatever is asked: a series for each value of the label that is asked by, its number in tenths and up."""

    range = Range(start=1_800_000_000, end=1_800_000_060, scrape_s=5)

    def over(self, expr: str) -> list[Series]:
        label = _BY.search(expr)
        values = _VALUES.get(label[1], ("some",)) if label else ("",)
        return [
            Series({label[1]: value} if label else {}, [(self.range.start + at, number / 10) for at in range(0, 61, 5)])
            for number, value in enumerate(values, start=1)
        ]

    def now(self, expr: str) -> list[Series]:
        return [Series(each.labels, each.points[-1:]) for each in self.over(expr)]

    def exemplars(self, expr: str) -> list[Point]:
        return [(self.range.start + 7, 0.02)]


@pytest.fixture(scope="module")
def overview() -> dict[str, Any]:
    (found,) = (each for each in dashboards() if each["uid"] == "chat-overview")
    return found


@pytest.fixture(scope="module")
def html(overview: dict[str, Any]) -> str:
    return drawn(overview, Made())


def panel(dashboard: dict[str, Any], title: str) -> dict[str, Any]:
    (found,) = (each for each in panels(dashboard) if each["title"] == title)
    return found


def test_every_panel_is_drawn_and_says_what_was_answered(overview: dict[str, Any], html: str) -> None:
    titles = re.findall(r"<h3>(.+?)</h3>", html)
    assert titles == [each["title"] for each in panels(overview)]
    shown = dict(zip(titles, html.split("<h3>")[1:], strict=True))
    assert ">10.00%<" in shown["Available"]
    assert "completed</td><td>0.300 req/s</td><td>0.300 req/s</td>" in shown["Requests, by how they ended"]
    assert "Groq failed</td><td>10%</td>" in shown["Who left, and who failed"]
    assert ">availability</td>" in shown["The promises, over 30 days"]
    assert "$0.300" in shown["Cost by model, in this time range"]
    for svg in re.findall(r"<svg.*?</svg>", html):
        ET.fromstring(svg)


def test_a_panel_that_nobody_can_draw_is_told_of(overview: dict[str, Any]) -> None:
    strange = {**overview, "panels": [{**overview["panels"][1], "type": "news"}]}
    with pytest.raises(ValueError, match="nobody knows how to draw a news"):
        drawn(strange, Made())


def test_what_has_no_data_says_what_the_panel_says_then(overview: dict[str, Any]) -> None:
    class Silent(Made):
        def over(self, expr: str) -> list[Series]:
            return []

    html = drawn(overview, Silent())
    assert "None. Nothing asks for a person." in html
    assert "Nothing to count yet: the first minute has to pass, with chats in it." in html


def test_queries_are_sent_as_grafana_sends_them() -> None:
    asked = Made.range.fill_in('rate(x{model=~"$model"}[$__rate_interval]) + increase(x[$__range])')
    assert asked == 'rate(x{model=~".*"}[20s]) + increase(x[60s])'
    with pytest.raises(ValueError, match="no value"):
        Made.range.fill_in("x[$__interval]")


@pytest.mark.parametrize(
    ("value", "unit", "decimals", "said"),
    [
        (0.98765, "percentunit", 2, "98.77%"),
        (12.34, "reqps", None, "12.3 req/s"),
        (0.0312, "currencyUSD", None, "$0.0312"),
        (348_212, "short", None, "348 K"),
        (0.0052, "s", None, "5.20 ms"),
        (1, "s", None, "1 s"),
        (0, "s", None, "0 s"),
        (90, "s", None, "1.50 mins"),
        (1500, "suffix:tokens/s", None, "1500 tokens/s"),
        (float("nan"), "short", None, "NaN"),
    ],
)
def test_numbers_have_the_words_of_their_units(value: float, unit: str, decimals: int | None, said: str) -> None:
    assert words(value, unit, decimals) == said


def test_piles_stand_on_each_other_in_the_colours_of_the_dashboard(overview: dict[str, Any]) -> None:
    piled = curves(panel(overview, "Requests, by how they ended"), Made())
    assert [each.colour for each in piled] == [colour(name) for name in ("light-blue", "blue", "green", "light-orange")]
    assert [next(iter(each.tops.values())) for each in piled] == pytest.approx([0.1, 0.3, 0.6, 1.0])
    lines = curves(panel(overview, "Who left, and who failed"), Made())
    assert [next(iter(each.tops.values())) for each in lines] == [0.1] * 6


def test_where_there_is_no_data_there_is_no_line(overview: dict[str, Any]) -> None:
    class Holed(Made):
        def over(self, expr: str) -> list[Series]:
            return [Series(each.labels, [*each.points[:4], *each.points[8:]]) for each in super().over(expr)]

    def lines(source: Made) -> int:
        return timeseries(panel(overview, "Tokens"), source, Box(300, 150)).count("<polyline")

    assert (lines(Made()), lines(Holed())) == (1, 2)


def test_a_row_of_a_table_joins_what_has_the_same_labels(overview: dict[str, Any]) -> None:
    assert rows(panel(overview, "The promises, over 30 days"), Made()) == [
        {"promise": "availability", "promised": 0.1, "kept": 0.1, "budget left": 0.1, "burn rate": 0.1},
        {"promise": "time-to-first-token", "promised": 0.2, "kept": 0.2, "budget left": 0.2, "burn rate": 0.2},
    ]


def test_each_bucket_of_the_heatmap_has_its_own() -> None:
    assert apart({float("inf"): {0: 9, 5: 9}, 1: {0: 4, 5: 9}, 0.5: {0: 1, 5: 3}}) == {
        0.5: {0: 1, 5: 3},
        1: {0: 3, 5: 6},
        float("inf"): {0: 5, 5: 0},
    }


def test_a_threshold_that_is_reached_counts() -> None:
    levels = {"steps": [{"color": "red", "value": None}, {"color": "green", "value": 0.995}]}
    assert [by_threshold(value, levels) for value in (0.9949, 0.995)] == [colour("red"), colour("green")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.mark.needs("chromium")
def test_nothing_covers_anything(html: str, browser: Browser) -> None:
    with browser.new_context(viewport={"width": WIDTH, "height": 800}) as context:
        page = context.new_page()
        page.set_content(html)
        assert page.evaluate("document.documentElement.scrollWidth") <= WIDTH
        cut = "[...document.querySelectorAll('section > div')].filter(each => each.scrollWidth > each.clientWidth)"
        assert page.evaluate(f"{cut}.map(each => each.previousSibling.innerText)") == []
        covered = (
            "[...document.querySelectorAll('.beside, .beneath')].filter(each => { const [own, curves] ="
            " [each, each.parentNode.querySelector('svg')].map(one => one.getBoundingClientRect());"
            " return own.left < curves.right && own.top < curves.bottom - 1; }).length"
        )
        assert page.evaluate(covered) == 0

"""The page in Chromium: names and order of controls, contrast, and layout at any width."""

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.api.ui.axe import violations
from tests.api.ui.chat_page import LABELS, ask, wait_for_outcome
from tests.support.browser import opened
from tests.support.service import Service

pytestmark = pytest.mark.needs("chromium")


def test_every_control_has_a_name_and_is_reached_by_tab(page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text("Groq, streamed")
    expect(page.get_by_role("log", name="Conversation")).to_be_visible()
    expect(page.get_by_role("textbox", name="Prompt")).to_be_focused()
    reached = []
    for _ in range(8):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.innerText || document.activeElement.id"))
    assert reached[1:] == ["continue", "New chat", "Send", *LABELS.values()]


@pytest.mark.parametrize("width", [360, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violations(browser: Browser, demo: Service, width: int, scheme: Any) -> None:
    viewport: Any = {"width": width, "height": 800}
    with opened(browser, demo.url, viewport=viewport, color_scheme=scheme) as (page, _):
        assert violations(page) == []
        page.get_by_role("button", name=LABELS["unavailable"]).click()
        wait_for_outcome(page, "completed")
        assert violations(page) == []


@pytest.mark.parametrize("width", [360, 820, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_content_is_cut_off_at_any_width(browser: Browser, demo: Service, width: int, scheme: Any) -> None:
    viewport: Any = {"width": width, "height": 800}
    with opened(browser, demo.url, viewport=viewport, color_scheme=scheme) as (page, seen):
        ask(page, "a-word-of-its-own-" * 30)
        wait_for_outcome(page, "completed")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("getComputedStyle(document.body).colorScheme") == "light dark"
        is_dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 21, 26)"
        assert is_dark == (scheme == "dark")
    assert seen.complaints == []

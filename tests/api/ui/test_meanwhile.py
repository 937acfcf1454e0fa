"""The page in Chromium when something else happens meanwhile: scrolling, another chat, rows that cannot be read."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.api.ui.chat_page import ask, fact, wait_for_outcome
from tests.support.browser import opened
from tests.support.service import HELLO, Service, SimulatedGroq
from tests.support.waiting import wait_until

pytestmark = pytest.mark.needs("chromium")

ROWS = re.compile(r"/page/chats/")
CHAT = re.compile(r"/v1/chat/completions/[^/]+$")


@pytest.fixture
def failing(browser: Browser, demo: Service) -> Iterator[Page]:
    """The page, whose console may show failed requests."""
    with opened(browser, demo.url) as (page, _):
        yield page


def test_an_answer_that_grows_does_not_scroll_a_reader_who_has_scrolled_up(page: Page, groq: SimulatedGroq) -> None:
    groq.fail({"tokens_per_s": 200, "words": 900})
    ask(page)
    wait_until(lambda: page.evaluate("log.scrollHeight > log.clientHeight + 300"), "the answer does not fill the log")
    page.evaluate("log.scrollTop = 0")
    length = page.evaluate("log.innerText.length")
    wait_until(lambda: page.evaluate("log.innerText.length") > length + 300, "the answer does not grow")
    assert page.evaluate("log.scrollTop") == 0
    page.evaluate("log.scrollTop = log.scrollHeight")
    wait_for_outcome(page, "completed")
    assert page.evaluate("log.scrollHeight - log.scrollTop - log.clientHeight") < 40


def test_a_row_that_cannot_be_read_is_not_reported_as_missing(failing: Page) -> None:
    failing.route(ROWS, lambda route: route.fulfill(status=503, json={"error": {"message": "no connection"}}))
    ask(failing)
    wait_for_outcome(failing, "unknown")
    expect(failing.locator("#details .summary")).to_have_text("The row cannot be read: no connection")


def test_a_row_that_is_read_late_does_not_replace_the_details_of_the_next_chat(failing: Page) -> None:
    """Which has ended meanwhile."""
    waiting: list[Route] = []

    def hold_first(route: Route) -> None:
        if waiting and waiting[0].request.url != route.request.url:
            route.continue_()
        else:
            waiting.append(route)

    failing.route(ROWS, hold_first)
    ask(failing, "First")
    expect(failing.locator("#details .badge")).to_have_text("ended")
    first = fact(failing, "Chat ID").inner_text()
    ask(failing, "Second")
    wait_for_outcome(failing, "completed")
    second = fact(failing, "Chat ID").inner_text()
    assert second != first
    for route in waiting:
        route.continue_()
    expect(failing.locator("#log .numbers")).to_have_count(2)
    expect(fact(failing, "Chat ID")).to_have_text(second)


def test_a_chat_that_is_read_late_does_not_replace_the_one_in_the_dialog(failing: Page, demo: Service) -> None:
    ids = [demo.chat(HELLO | {"messages": [{"role": "user", "content": text}]}).id for text in ("Slow?", "Fast?")]
    waiting: list[Route] = []

    def hold(route: Route) -> None:
        waiting.append(route)

    failing.route(re.compile(f"{ids[0]}$"), hold)
    failing.goto(f"{demo.url}/#chats/{ids[0]}")
    with failing.expect_request(CHAT):
        failing.goto(f"{demo.url}/#chats/{ids[1]}")
    dialog = failing.get_by_role("dialog")
    expect(dialog).to_contain_text("You asked: “Fast?”.")
    with failing.expect_response(re.compile(f"{ids[0]}$")):
        waiting[0].continue_()
    failing.wait_for_load_state("networkidle")
    expect(dialog).to_contain_text("You asked: “Fast?”.")


def test_a_browser_that_blocks_the_storage_of_the_page_can_chat(browser: Browser, demo: Service) -> None:
    with browser.new_context() as context:
        context.add_init_script(
            "Object.defineProperty(window, 'sessionStorage', { get() { throw new DOMException('', 'SecurityError') } })"
        )
        page = context.new_page()
        page.goto(demo.url)
        page.get_by_label("Finish it if I leave").check()
        ask(page)
        wait_for_outcome(page, "completed")

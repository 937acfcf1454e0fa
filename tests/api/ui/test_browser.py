"""The page in a real browser: a person asks, watches, stops, and sees what happened."""

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from app.api.ui.faults import Fault
from tests.support.browser import opened
from tests.support.service import Service, SimulatedGroq

pytestmark = pytest.mark.needs("chromium")

SLOW = {"tokens_per_s": 40, "words": 60}
LABELS: dict[Fault, str] = {
    "unavailable": "503 twice, then well",
    "limited": "Rate limit",
    "cut": "Cut mid-stream",
    "silent": "Silence",
}


def ask(page: Page, question: str = "Why is the sky blue?") -> None:
    page.get_by_role("textbox").first.fill(question)
    page.keyboard.press("Enter")


def ends(page: Page, outcome: str) -> None:
    expect(page.get_by_role("status")).to_have_text(outcome, timeout=10_000)


def steps(page: Page) -> list[str]:
    return page.locator("#timeline .name").all_inner_texts()


def fact(page: Page, name: str) -> Locator:
    return page.locator(".fact", has=page.locator("dt", has_text=re.compile(f"^{name}$"))).locator("dd")


def shown_row(page: Page, service: Service) -> dict[str, Any]:
    return service.row(fact(page, "Chat").inner_text())


def test_a_chat_streams_in_steps_and_its_row_says_what_happened(page: Page, demo: Service, groq: SimulatedGroq) -> None:
    groq.fail(SLOW)
    ask(page)
    lengths = set()
    while page.get_by_role("button", name="Stop").is_visible():
        lengths.add(len(page.get_by_role("log").inner_text()))
    assert len(lengths) > 5, "the answer grows before it is whole"
    ends(page, "completed")
    row = shown_row(page, demo)
    assert row["response"] in page.get_by_role("log").inner_text()
    assert steps(page) == ["Admitted", "Attempt 1", "First token", "Stream", "Committed"]
    expect(fact(page, "First token")).to_have_text(re.compile(r"\d ms$"))
    expect(fact(page, "Speed")).to_have_text(re.compile(r"^(3|4)\d tokens/s$"))
    expect(fact(page, "Tokens")).to_have_text(f"{row['prompt_tokens']} in, {row['completion_tokens']} out")
    expect(fact(page, "Cost")).to_have_text(f"${row['cost_usd']:.6f}")
    expect(page.locator("#curve .line")).to_have_attribute("d", re.compile("^M0.0 "))


def test_the_trace_and_the_row_are_a_click_away(page: Page, demo: Service) -> None:
    ask(page)
    ends(page, "completed")
    row = shown_row(page, demo)
    link = page.get_by_role("link", name="Its trace")
    expect(link).to_have_attribute("href", f"http://127.0.0.1:16686/trace/{row['trace_id']}")
    link = page.get_by_role("link", name="Its row")
    expect(link).to_have_attribute("href", f"http://127.0.0.1:3000/d/chat-chats?var-id={row['id']}")
    page.get_by_text("Its row in").click()
    assert row["upstream_request_id"] in page.locator("#columns").inner_text()


@pytest.mark.parametrize("stop", ["by the button", "by Escape"])
def test_stop_ends_it_and_the_row_says_so(page: Page, demo: Service, groq: SimulatedGroq, stop: str) -> None:
    groq.fail(SLOW | {"words": 1000})
    ask(page)
    expect(page.get_by_role("log")).to_contain_text("You asked")
    if stop == "by Escape":
        page.keyboard.press("Escape")
    else:
        page.get_by_role("button", name="Stop").click()
    ends(page, "client_disconnected")
    row = shown_row(page, demo)
    assert row["outcome"] == "client_disconnected"
    assert row["response"] in page.get_by_role("log").inner_text() or page.get_by_text("You stopped it.").is_visible()
    assert steps(page)[-2:] == ["Ended", "Committed"]
    expect(page.get_by_role("button", name="Send")).to_be_enabled()


WENT: dict[Fault, tuple[str, list[str], str]] = {
    "unavailable": (
        "completed",
        ["Admitted", "Attempt 1", "Wait", "Attempt 2", "Wait", "Attempt 3", "First token", "Stream", "Committed"],
        "503 · upstream_unavailable",
    ),
    "limited": (
        "completed",
        ["Admitted", "Attempt 1", "Wait", "Attempt 2", "First token", "Stream", "Committed"],
        "429 · rate_limit_exceeded",
    ),
    "cut": (
        "upstream_error",
        ["Admitted", "Attempt 1", "First token", "Stream", "Ended", "Committed"],
        "the row is kept",
    ),
    "silent": ("completed", ["Admitted", "Attempt 1", "First token", "Stream", "Committed"], "140 tokens in "),
}


@pytest.mark.parametrize("fault", WENT)
def test_each_button_makes_one_chat_fail_and_shows_it(page: Page, fault: Fault) -> None:
    outcome, expected, told = WENT[fault]
    page.get_by_role("button", name=LABELS[fault]).click()
    ends(page, outcome)
    assert steps(page) == expected
    expect(page.locator("#timeline")).to_contain_text(told)
    if fault == "cut":
        expect(page.get_by_role("log")).to_contain_text("the connection to Groq broke off")
    ask(page, "And now?")
    ends(page, "running")
    ends(page, "completed")
    assert steps(page) == ["Admitted", "Attempt 1", "First token", "Stream", "Committed"]


def test_an_answer_is_text_and_never_markup(page: Page) -> None:
    hostile = "<img src=x onerror=alert(1)><script>alert(2)</script><b>bold</b>"
    ask(page, hostile)
    ends(page, "completed")
    assert page.get_by_role("log").inner_text().count(hostile) == 2, "as it was asked, and as the simulator repeats it"
    assert page.locator("#log :is(img, script, b)").count() == 0


def test_a_conversation_is_sent_with_each_question_until_a_new_one_begins(
    page: Page, demo: Service, groq: SimulatedGroq
) -> None:
    for question in ("First", "Second"):
        ask(page, question)
        ends(page, "running")
        ends(page, "completed")
    roles = [message["role"] for message in groq.seen()["last_request"]["body"]["messages"]]
    assert roles == ["user", "assistant", "user"]
    page.get_by_role("button", name="New chat").click()
    expect(page.get_by_role("log")).to_have_text("")
    ask(page, "Third")
    ends(page, "running")
    ends(page, "completed")
    assert [message["content"] for message in groq.seen()["last_request"]["body"]["messages"]] == ["Third"]
    assert shown_row(page, demo)["prompt"] == "Third"


def test_shift_enter_is_a_new_line_and_nothing_is_not_sent(page: Page, groq: SimulatedGroq) -> None:
    before = groq.seen()["requests"]
    page.keyboard.press("Enter")  # the prompt has the focus from the start
    page.keyboard.type("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    assert page.get_by_role("textbox").first.input_value() == "one\ntwo"
    assert groq.seen()["requests"] == before


def test_everything_has_a_name_and_a_place_in_the_order_of_tab(page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text("Groq, streamed")
    expect(page.get_by_role("log", name="Conversation")).to_be_visible()
    expect(page.get_by_role("textbox", name="Prompt")).to_be_focused()
    reached = []
    for _ in range(7):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.innerText || document.activeElement.id"))
    assert reached[1:] == ["New chat", "Send", *LABELS.values()]
    unnamed = page.evaluate(
        "[...document.querySelectorAll('button, select, textarea, input')]"
        ".filter(each => !each.labels?.length && !each.innerText.trim()).map(each => each.id)"
    )
    assert [each for each in unnamed if each != "stop"] == []


@pytest.mark.parametrize("width", [360, 820, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_off_at_any_width(browser: Browser, demo: Service, width: int, scheme: Any) -> None:
    viewport: Any = {"width": width, "height": 800}
    with opened(browser, demo.url, viewport=viewport, color_scheme=scheme) as (page, seen):
        ask(page, "a-word-of-its-own-" * 30)
        ends(page, "completed")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("getComputedStyle(document.body).colorScheme") == "light dark"
        is_dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 21, 26)"
        assert is_dark == (scheme == "dark")
    assert seen.complaints == []

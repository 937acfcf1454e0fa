"""The page in Chromium: answers, faults, stopped chats, and the details of a chat."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from app.api.ui.faults import Fault
from tests.api.ui.chat_page import LABELS, ask, ask_and_wait, fact, shown_row, steps, wait_for_outcome
from tests.support.browser import opened
from tests.support.service import Service, SimulatedGroq

pytestmark = pytest.mark.needs("chromium")

SLOW = {"tokens_per_s": 40, "words": 60}


def test_a_chat_streams_and_its_row_is_shown(page: Page, demo: Service, groq: SimulatedGroq) -> None:
    groq.fail(SLOW)
    ask(page)
    lengths = set()
    while page.get_by_role("button", name="Stop").is_visible():
        lengths.add(len(page.get_by_role("log").inner_text()))
    assert len(lengths) > 2, "the answer is shown before it is complete"
    wait_for_outcome(page, "completed")
    row = shown_row(page, demo)
    assert row["response"] in page.get_by_role("log").inner_text()
    assert steps(page) == ["Admitted", "Attempt 1", "First token", "Stream", "Committed"]
    expect(fact(page, "Time to first token")).to_have_text(re.compile(r"\d ms$"))
    expect(fact(page, "Output rate")).to_have_text(re.compile(r"^(3|4)\d tokens/s$"))
    expect(fact(page, "Tokens")).to_have_text(f"{row['prompt_tokens']} in, {row['completion_tokens']} out")
    expect(fact(page, "Cost")).to_have_text(f"${row['cost_usd']:.6f}")
    expect(page.locator("#details .rate-chart .line")).to_have_attribute("d", re.compile("^M0.0 "))
    scale = page.locator("#details .rate-chart .grid:has(path)").all_text_contents()
    assert [bool(re.fullmatch(r"[\d.]+/s", label)) for label in scale] == [True, True]


def test_a_chat_has_links_to_its_trace_and_row(page: Page, demo: Service) -> None:
    ask(page)
    wait_for_outcome(page, "completed")
    row = shown_row(page, demo)
    link = page.get_by_role("link", name="Trace")
    expect(link).to_have_attribute("href", f"http://127.0.0.1:16686/trace/{row['trace_id']}")
    link = page.get_by_role("link", name="Row")
    expect(link).to_have_attribute("href", f"http://127.0.0.1:3000/d/chat-chats?var-id={row['id']}")
    page.locator("#details summary").click()
    assert row["upstream_request_id"] in page.locator("#details .columns").inner_text()


@pytest.mark.parametrize("stop", ["by the button", "by Escape"])
def test_stop_ends_it_and_the_row_says_so(page: Page, demo: Service, groq: SimulatedGroq, stop: str) -> None:
    groq.fail(SLOW | {"words": 1000})
    ask(page)
    expect(page.get_by_role("log")).to_contain_text("Sunlight")
    if stop == "by Escape":
        page.keyboard.press("Escape")
    else:
        page.get_by_role("button", name="Stop").click()
    wait_for_outcome(page, "client_disconnected")
    row = shown_row(page, demo)
    assert row["outcome"] == "client_disconnected"
    assert (
        row["response"] in page.get_by_role("log").inner_text()
        or page.get_by_text("You stopped the chat.").is_visible()
    )
    assert steps(page)[-2:] == ["Ended", "Committed"]
    expect(page.get_by_role("button", name="Send")).to_be_enabled()


def test_a_reload_in_the_middle_of_an_answer_shows_the_whole_answer(
    browser: Browser, demo: Service, groq: SimulatedGroq
) -> None:
    groq.fail(SLOW)
    with opened(browser, demo.url) as (page, _):
        log = page.get_by_role("log", name="Conversation")
        page.get_by_label("Finish it if I leave").check()
        ask(page)
        expect(log).to_contain_text("Sunlight")
        page.reload()
        expect(log).to_contain_text("Why is the sky blue?")
        wait_for_outcome(page, "completed")
        row = shown_row(page, demo)
        assert row["response"] in log.inner_text()
        assert row["client_left_at"] is not None
        page.reload()
        expect(log).to_have_text("")


EXPECTED: dict[Fault, tuple[str, list[str], str]] = {
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
        "row stored, no [DONE]",
    ),
    "silent": ("completed", ["Admitted", "Attempt 1", "First token", "Stream", "Silence", "Committed"], "Silence2."),
}


@pytest.mark.parametrize("fault", EXPECTED)
def test_each_fault_button_affects_one_chat(page: Page, fault: Fault) -> None:
    outcome, expected, note = EXPECTED[fault]
    page.get_by_role("button", name=LABELS[fault]).click()
    wait_for_outcome(page, outcome)
    assert steps(page) == expected
    expect(page.locator("#details .timeline")).to_contain_text(note)
    if fault == "cut":
        expect(page.get_by_role("log")).to_contain_text("the connection to Groq broke off")
    ask_and_wait(page, "And now?")
    assert steps(page) == ["Admitted", "Attempt 1", "First token", "Stream", "Committed"]


def test_an_answer_is_text_and_never_markup(page: Page) -> None:
    hostile = "<img src=x onerror=alert(1)><script>alert(2)</script><b>bold</b>"
    ask(page, hostile)
    wait_for_outcome(page, "completed")
    assert page.get_by_role("log").inner_text().count(hostile) == 2, "in the prompt, and in the simulator's answer"
    assert page.locator("#log :is(img, script, b)").count() == 0


def test_a_conversation_is_sent_with_each_question_until_a_new_one_begins(
    page: Page, demo: Service, groq: SimulatedGroq
) -> None:
    for question in ("First", "Second"):
        ask_and_wait(page, question)
    roles = [message["role"] for message in groq.seen()["last_request"]["body"]["messages"]]
    assert roles == ["user", "assistant", "user"]
    page.get_by_role("button", name="New chat").click()
    expect(page.get_by_role("log")).to_have_text("")
    expect(page.locator("#details .badge")).to_have_text("")
    expect(fact(page, "Tokens")).not_to_contain_text("in, ")
    assert steps(page) == []
    ask_and_wait(page, "Third")
    assert [message["content"] for message in groq.seen()["last_request"]["body"]["messages"]] == ["Third"]
    assert shown_row(page, demo)["prompt"] == "Third"


def test_shift_enter_is_a_new_line_and_an_empty_prompt_is_not_sent(page: Page, groq: SimulatedGroq) -> None:
    before = groq.seen()["requests"]
    page.keyboard.press("Enter")  # the prompt has the focus from the start
    page.keyboard.type("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    assert page.get_by_role("textbox", name="Prompt").input_value() == "one\ntwo"
    assert groq.seen()["requests"] == before

"""What tests do on the page's view of one chat: ask, wait for its end, and read its details."""

import re
from typing import Any

from playwright.sync_api import Locator, Page, expect

from app.api.ui.faults import Fault
from tests.support.service import Service

LABELS: dict[Fault, str] = {
    "unavailable": "503 twice",
    "limited": "Rate limit for 2 s",
    "cut": "Broken stream",
    "silent": "Silence of 2.5 s",
}


def ask(page: Page, question: str = "Why is the sky blue?") -> None:
    page.get_by_role("textbox", name="Prompt").fill(question)
    page.keyboard.press("Enter")


def ask_and_wait(page: Page, question: str) -> None:
    """Waits for the new chat's end, and not for that of the chat before it, which is still shown."""
    before = fact(page, "Chat ID").inner_text()
    ask(page, question)
    expect(fact(page, "Chat ID")).not_to_have_text(before)
    wait_for_outcome(page, "completed")


def wait_for_outcome(page: Page, outcome: str) -> None:
    expect(page.locator("#details .badge")).to_have_text(outcome)


def steps(page: Page) -> list[str]:
    return page.locator("#details .timeline .name").all_inner_texts()


def fact(page: Page, name: str) -> Locator:
    return page.locator("#details .fact", has=page.locator("dt", has_text=re.compile(f"^{name}$"))).locator("dd")


def shown_row(page: Page, service: Service) -> dict[str, Any]:
    return service.row(fact(page, "Chat ID").inner_text())

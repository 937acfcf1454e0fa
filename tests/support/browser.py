"""The system's Chromium, and pages that record console messages and requested hosts."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.tools import tool

NAMES = ("chromium", "google-chrome")

_EXPECT_MS = 30_000  # a browser among many processes may need several seconds to render

# As root it has no sandbox. It must send no requests of its own.
_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@contextmanager
def chromium() -> Iterator[Browser]:
    expect.set_options(timeout=_EXPECT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=tool(*NAMES), args=_ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Seen:
    """Warnings and errors of the browser's console, and the hosts of all requests."""

    complaints: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)


@contextmanager
def opened(browser: Browser, url: str, **context: Any) -> Iterator[tuple[Page, Seen]]:
    """The page at `url` once its models are listed; `context` has Playwright's options, like `viewport`."""
    with browser.new_context(**context) as within:
        page, seen = within.new_page(), Seen()
        page.on(
            "console", lambda line: seen.complaints.append(line.text) if line.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        page.on("request", lambda request: seen.hosts.add(urlsplit(request.url).netloc))
        page.goto(url)
        page.get_by_role("combobox", name="Model").get_by_role("option").first.wait_for(state="attached")
        yield page, seen

"""The view Chats in Chromium: a list that is live, filters, pages, tiles, and the conversation of one chat."""

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from msgspec import Raw, json
from playwright.sync_api import Browser, Page, expect

from app.commands.migrate import upgrade
from app.core.config import Settings
from app.core.outcomes import Outcome
from app.core.record import ChatRecord
from app.db.engine import create_engine
from app.db.repositories.chat_log import ChatLogRepository
from tests.api.ui.axe import violations
from tests.support.browser import opened
from tests.support.records import record
from tests.support.service import HELLO, Service, SimulatedGroq, service_before

pytestmark = pytest.mark.needs("chromium")

ROWS = 250
FAILED = 10  # every such row is an error, and every other one of those another error
HOSTILE = "<img src=x onerror=alert(1)><b>bold</b>"
LINKS = "#chats-table tbody a"


def chat(number: int) -> ChatRecord:
    """The chat with number 0 is the newest."""
    at = datetime.now(UTC) - timedelta(minutes=number + 1)
    failed = number % FAILED == 0
    return record(
        id=UUID(int=int(at.timestamp() * 1000) << 80 | 7 << 76 | 2 << 62 | number),
        created_at=at,
        outcome=Outcome.UPSTREAM_ERROR if failed else Outcome.COMPLETED,
        error_code=None if not failed else "upstream_broken" if number % (2 * FAILED) else "upstream_unavailable",
        model_name=HOSTILE if number == 1 else "openai/gpt-oss-20b",
        response=f"Answer {number} {HOSTILE}",
        tool_calls=None,
        messages=Raw(json.encode([{"role": "system", "content": "Be brief."}, {"role": "user", "content": HOSTILE}])),
        client=None,
        completion_tokens=101,
        ttft_ms=100 + number,
        duration_ms=1100 + number,
        cost_usd=0.01,
    )


def fill(database_url: str) -> None:
    settings = Settings(_env_file=None, database_url=database_url)
    upgrade(settings)
    asyncio.run(insert(settings))


async def insert(settings: Settings) -> None:
    engine = create_engine(settings)
    await ChatLogRepository(engine).insert([chat(number) for number in range(ROWS)])
    await engine.dispose()


@pytest.fixture
def stored(groq: SimulatedGroq, tmp_path: Path) -> Iterator[Service]:
    """With 250 chats of the last hours."""
    with ThreadPoolExecutor(1) as thread:  # the browser's event loop runs in this one
        thread.submit(fill, f"sqlite+aiosqlite:///{tmp_path}/chats.db").result()
    with service_before(groq, tmp_path, {"PAGE_ROW_URL": "http://127.0.0.1:3000/?id={id}"}) as running:
        yield running


@pytest.fixture
def chats(stored: Service, browser: Browser) -> Iterator[Page]:
    with opened(browser, f"{stored.url}/#chats") as (page, seen):
        expect(page.locator(LINKS)).to_have_count(100)
        yield page
        assert seen.complaints == []
        assert seen.hosts == {stored.url.removeprefix("http://")}


def test_pages_of_older_chats_follow_the_newest(chats: Page) -> None:
    older = chats.get_by_role("button", name="Show older chats")
    for count in (200, ROWS):
        older.click()
        expect(chats.locator(LINKS)).to_have_count(count)
    expect(older).not_to_be_visible()
    shown = [link.get_attribute("href") for link in chats.locator(LINKS).all()]
    assert shown == sorted(shown, reverse=True)  # type: ignore[type-var]


def test_a_new_chat_appears_while_the_view_is_open(chats: Page, stored: Service) -> None:
    chats.get_by_role("button", name="Show older chats").click()
    expect(chats.locator(LINKS)).to_have_count(200)
    reply = stored.chat(HELLO)
    expect(chats.locator(LINKS)).to_have_count(201)
    expect(chats.locator(LINKS).first).to_have_attribute("href", f"#chats/{reply.id}")


def test_filters_apply_to_the_list_and_its_tiles(chats: Page) -> None:
    outcomes = chats.locator("#chats-table td:nth-child(3)")
    expect(chats.locator("#tiles")).to_contain_text("90.0 % 10 failed")
    chats.get_by_label("Outcome").select_option("upstream_error")
    expect(outcomes).to_have_count(ROWS // FAILED)
    assert {text.split()[0] for text in outcomes.all_inner_texts()} == {"upstream_error"}
    expect(chats.locator("#tiles")).to_contain_text("0.0 %")
    chats.get_by_label("Error", exact=True).fill("upstream_broken")
    chats.keyboard.press("Enter")
    expect(outcomes).to_have_count(ROWS // FAILED // 2)
    assert set(outcomes.all_inner_texts()) == {"upstream_error upstream_broken"}
    chats.locator("#filter-model").select_option("openai/gpt-oss-120b")
    expect(chats.locator("#chats-count")).to_have_text("No chats.")


def test_tiles_are_computed_from_the_chats_in_view(chats: Page) -> None:
    tiles = chats.locator("#tiles")
    expect(tiles).to_contain_text("149 ms p50, 194 ms p95")
    expect(tiles).to_contain_text("100 p50")
    expect(tiles).to_contain_text("$1.00 of 100 chats")
    assert chats.locator("#tiles rect, #tiles circle").count() > 200


def test_a_row_opens_its_conversation_from_the_keyboard(chats: Page) -> None:
    chats.locator(LINKS).first.focus()
    chats.keyboard.press("ArrowDown")
    chats.keyboard.press("Enter")
    dialog = chats.get_by_role("dialog")
    expect(dialog.get_by_role("article")).to_have_text(
        ["systemBe brief.", f"You{HOSTILE}", re.compile("^Groq.*Answer 1 ", re.DOTALL)]
    )
    assert dialog.locator(".timeline .name").all_inner_texts() == ["Admitted", "Attempt 1", "First token", "Stream"]
    chat_id = chats.url.rpartition("/")[2]
    expect(dialog.get_by_role("link", name="Row")).to_have_attribute("href", f"http://127.0.0.1:3000/?id={chat_id}")
    expect(dialog).to_contain_text(f"make trace ID={chat_id}")
    chats.keyboard.press("Escape")
    expect(dialog).not_to_be_visible()
    expect(chats).to_have_url(re.compile("#chats$"))
    assert chats.evaluate("document.activeElement.getAttribute('href')") == f"#chats/{chat_id}"


def test_stored_texts_are_never_markup(chats: Page) -> None:
    chats.locator("#chats-table tbody tr").nth(1).click()
    expect(chats.get_by_role("dialog").get_by_role("article")).to_have_count(3)
    assert HOSTILE in chats.locator("#chats-table").inner_text()
    assert chats.locator(":is(#chats-table, dialog) :is(img, b)").count() == 0


def test_a_link_to_a_chat_opens_it(stored: Service, browser: Browser) -> None:
    reply = stored.chat(HELLO)
    with opened(browser, f"{stored.url}/#chats/{reply.id}") as (page, _):
        expect(page.get_by_role("dialog")).to_contain_text("You asked: “Hello”.")
        page.get_by_role("button", name="Close").click()
        expect(page.locator(LINKS)).to_have_count(100)


def test_an_unavailable_database_is_reported_and_the_list_stays(stored: Service, browser: Browser) -> None:
    down = {"error": {"message": "stored chats could not be read"}}
    with opened(browser, f"{stored.url}/#chats") as (page, _):
        expect(page.locator(LINKS)).to_have_count(100)
        page.route("**/v1/chat/completions?*", lambda route: route.fulfill(status=503, json=down))
        expect(page.locator("#live")).to_have_text("stored chats could not be read")
        expect(page.locator(LINKS)).to_have_count(100)
        page.unroute_all()
        expect(page.locator("#live")).to_contain_text("Live")


def test_running_chats_are_listed_first(chats: Page, stored: Service, groq: SimulatedGroq) -> None:
    groq.fail({"tokens_per_s": 10, "words": 60})
    newest = chats.locator("#chats-table tbody tr").first
    with ThreadPoolExecutor(1) as client:
        reply = client.submit(stored.chat, HELLO)
        expect(newest).to_contain_text("running")
        expect(chats.locator("#live")).to_contain_text("1 running")
        assert reply.result().done
    expect(newest).to_contain_text("completed")
    expect(chats.locator(LINKS)).to_have_count(101)


def test_axe_finds_no_violations_and_nothing_is_cut_off(browser: Browser, stored: Service) -> None:
    for width, scheme in product((360, 820, 1400), ("light", "dark")):
        look: Any = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
        with opened(browser, f"{stored.url}/#chats", **look) as (page, _):
            expect(page.locator(LINKS)).to_have_count(100)
            assert violations(page) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            page.locator(LINKS).nth(1).click()
            expect(page.get_by_role("dialog").get_by_role("article")).to_have_count(3)
            assert violations(page) == []

"""The page at /, as `make run` shows it, after a chat that met a Groq that was away twice."""

from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.support.browser import opened
from tests.support.processes import program

QUESTION = "What did this chat go through?"
"""One that the simulator answers in characters for which every machine has a font."""

FAULT = "503 twice, then well"
_WIDTH, _HEIGHT, _SCALE = 1180, 760, 1.5
_PATIENCE_MS = 20_000


def picture(browser: Browser, folder: Path, file: Path) -> None:
    """Starts the service as a newcomer does, asks, and takes the picture."""
    env = {"DATABASE_URL": f"sqlite+aiosqlite:///{folder}/page.db", "PORT": "0"}
    size = {"width": _WIDTH, "height": _HEIGHT}
    with (
        program(["app"], cwd=folder, env=env, show=(folder / "page.log").write_text) as running,
        opened(browser, running.url(), viewport=size, device_scale_factor=_SCALE, color_scheme="light") as (page, _),
    ):
        page.get_by_role("textbox").first.fill(QUESTION)
        page.get_by_role("button", name=FAULT).click()
        expect(page.get_by_role("status")).to_have_text("completed", timeout=_PATIENCE_MS)
        expect(page.locator("#timeline")).to_contain_text("Attempt 3")
        page.screenshot(path=file, full_page=True)

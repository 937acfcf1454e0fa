"""`python -m loadtests.pictures`: takes the pictures in README and docs, in Chromium, of pages that the service serves.

It runs as `make run` starts it, with a simulated Groq.

    chat.gif    a chat whose stream breaks, and one that recovers from two failed attempts
    chat.png    the view Chat at the end of the second
    chats.png   the view Chats, after half a minute of traffic with faults
    trace.png   what `make trace` prints of the second chat
"""

import base64
import html
import io
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import httpx2
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support.browser import chromium, opened
from tests.support.processes import PROJECT, program, run
from tests.support.service import PATH, http_client

_FOLDER = PROJECT / "docs" / "pictures"
_LOOK: dict[str, Any] = {"viewport": {"width": 1180, "height": 780}, "color_scheme": "light"}
_SHARP = {**_LOOK, "device_scale_factor": 1.5}
_FRAME_S = 0.08
_STILL_MS = 3000
_COLOURS = 96
_QUESTION = "When is a request retried?"
"""The simulator answers it in characters that every machine has a font for."""
_QUESTIONS = (_QUESTION, "How do I find the trace?", "Where is the row?", "What can I break?", "What does [DONE] mean?")
_MODELS = ("openai/gpt-oss-20b", "openai/gpt-oss-20b", "openai/gpt-oss-120b", "qwen/qwen3.6-27b")
_FAULTS = (*(None,) * 12, "unavailable", "limited", "cut", "silent")
_CHATS = 120
_AT_ONCE = 10


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="pictures-", ignore_cleanup_errors=True) as folder:
        try:
            take(Path(folder))
        except (pytest.skip.Exception, pytest.fail.Exception) as missing:  # Chromium is not installed
            print(missing.msg)
            return 1
    for file in sorted(_FOLDER.iterdir()):
        print(f"{file.relative_to(PROJECT)}: {file.stat().st_size / 1000:.0f} kB")
    return 0


def take(folder: Path) -> None:
    """Takes all pictures; the service has its database, its traces and its log in `folder`."""
    env = {"DATABASE_URL": f"sqlite+aiosqlite:///{folder}/chats.db", "PORT": "0"}
    with (
        program(["app"], cwd=folder, env=env, show=(folder / "service.log").write_text) as running,
        chromium() as browser,
    ):
        url = running.url()
        _take_chats(browser, url)
        _take_chat(browser, url)
        _, trace = run(["app", "trace"], cwd=folder, env=env)
        _take_trace(browser, trace)


def _take_chats(browser: Browser, url: str) -> None:
    with http_client() as http, ThreadPoolExecutor(_AT_ONCE) as clients:
        list(clients.map(lambda number: _chat(http, url, Random(number)), range(_CHATS)))
    with opened(browser, f"{url}/#chats", **_SHARP) as (page, _):
        expect(page.locator("#chats-table tbody tr")).to_have_count(100)
        _save(page, "chats.png")


def _chat(http: httpx2.Client, url: str, rng: Random) -> None:
    """One of a caller's chats: some fail, and some callers leave before the end."""
    if fault := rng.choice(_FAULTS):
        http.put(f"{url}/page/faults/{fault}").raise_for_status()
    body = {"model": rng.choice(_MODELS), "messages": [{"role": "user", "content": rng.choice(_QUESTIONS)}]}
    leaves_after = rng.choice((None,) * 9 + (20,))
    with http.stream("POST", url + PATH, json=body) as response:
        for number, _ in enumerate(response.iter_raw()):
            if number == leaves_after:
                return


def _take_chat(browser: Browser, url: str) -> None:
    with opened(browser, url, **_LOOK) as (page, _):
        frames: dict[float, bytes] = {}
        chromium = page.context.new_cdp_session(page)

        def add(frame: dict[str, Any]) -> None:
            """Chromium sends a frame when the page has changed, once the one before is acknowledged."""
            frames[frame["metadata"]["timestamp"]] = base64.b64decode(frame["data"])
            chromium.send("Page.screencastFrameAck", {"sessionId": frame["sessionId"]})

        chromium.on("Page.screencastFrame", add)
        chromium.send("Page.startScreencast", {"format": "png"})
        for fault, outcome in (("Broken stream", "upstream_error"), ("503 twice", "completed")):
            _send(page, fault)
            expect(page.locator("#details .badge")).to_have_text(outcome, timeout=20_000)
            page.wait_for_timeout(_STILL_MS)
        chromium.send("Page.stopScreencast")
    _save_film(frames)
    with opened(browser, url, **_SHARP) as (page, _):
        _send(page, "503 twice")
        expect(page.locator("#details .badge")).to_have_text("completed", timeout=20_000)
        _save(page, "chat.png")


def _send(page: Page, fault: str) -> None:
    page.get_by_role("textbox", name="Prompt").fill(_QUESTION)
    page.get_by_role("button", name=fault).click()


def _save_film(sent: dict[float, bytes]) -> None:
    """Writes an animation of the last frame of each moment, which is shown until the next one was sent.

    All frames have the colours of the whole film, so that most pixels do not change.
    """
    moments = {int(at / _FRAME_S): at for at in sent}
    times = [*moments.values(), max(sent) + _STILL_MS / 1000]
    milliseconds = [round((after - at) * 1000) for at, after in pairwise(times)]
    frames = [Image.open(io.BytesIO(sent[at])).convert("RGB") for at in moments.values()]
    every = Image.new("RGB", (frames[0].width, frames[0].height * 2))
    for number, frame in enumerate((frames[len(frames) // 3], frames[-1])):
        every.paste(frame, (0, number * frame.height))
    colours = every.quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    first, *others = (frame.quantize(palette=colours, dither=Image.Dither.NONE) for frame in frames)
    file = _FOLDER / "chat.gif"
    first.save(file, save_all=True, append_images=others, duration=milliseconds, loop=0, optimize=True)


def _take_trace(browser: Browser, text: str) -> None:
    """The terminal is a page with the command's output."""
    page = browser.new_page(viewport={"width": 1180, "height": 400}, device_scale_factor=1.5)
    style = (
        "background: #14151a; color: #eceef3; font: 14px/1.45 monospace; margin: 0; padding: 1em; width: max-content"
    )
    page.set_content(f'<body style="margin: 0"><pre style="{style}">$ make trace\n{html.escape(text)}</pre>')
    _save(page.locator("pre"), "trace.png")


def _save(shown: Page | Locator, name: str) -> None:
    """256 colours take a third of the bytes."""
    picture = Image.open(io.BytesIO(shown.screenshot())).convert("RGB")
    picture.quantize(dither=Image.Dither.NONE).save(_FOLDER / name, optimize=True)


if __name__ == "__main__":
    sys.exit(main())

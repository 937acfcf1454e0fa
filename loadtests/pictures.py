"""`python -m loadtests.pictures`: takes the README's picture of the page at `/`, in Chromium.

The service runs as `make run` starts it. The chat on the picture has two failed attempts.
"""

import sys
import tempfile
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.support.browser import chromium, opened
from tests.support.processes import PROJECT, program

_QUESTION = "When is a request retried?"
"""The simulator answers it in characters that every machine has a font for."""
_FAULT = "503 twice"
_LOOK = {"viewport": {"width": 1180, "height": 760}, "device_scale_factor": 1.5, "color_scheme": "light"}
_TIMEOUT_MS = 20_000


def main() -> int:
    file = PROJECT / "docs" / "pictures" / "page.png"
    with tempfile.TemporaryDirectory(prefix="pictures-", ignore_cleanup_errors=True) as folder:
        try:
            take(Path(folder), file)
        except (pytest.skip.Exception, pytest.fail.Exception) as missing:  # Chromium is not installed
            print(missing.msg)
            return 1
    print(f"{file}: {file.stat().st_size / 1000:.0f} kB")
    return 0


def take(folder: Path, file: Path) -> None:
    """Writes the picture to `file`; the service keeps its database and its log in `folder`."""
    env = {"DATABASE_URL": f"sqlite+aiosqlite:///{folder}/page.db", "PORT": "0"}
    with (
        program(["app"], cwd=folder, env=env, show=(folder / "page.log").write_text) as running,
        chromium() as browser,
        opened(browser, running.url(), **_LOOK) as (page, _),
    ):
        page.get_by_label("Prompt").fill(_QUESTION)
        page.get_by_role("button", name=_FAULT).click()
        expect(page.locator("#details .badge")).to_have_text("completed", timeout=_TIMEOUT_MS)
        expect(page.locator("#details .timeline")).to_contain_text("Attempt 3")
        page.screenshot(path=file, full_page=True)
    with Image.open(file) as picture:  # 256 colours take a third of the bytes
        picture.convert("RGB").quantize(dither=Image.Dither.NONE).save(file, optimize=True)


if __name__ == "__main__":
    sys.exit(main())

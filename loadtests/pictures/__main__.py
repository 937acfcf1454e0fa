"""`python -m loadtests.pictures`: draws what a few minutes of load did, and what one chat went through."""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser

from loadtests.pictures import page
from loadtests.pictures.drawing.dashboard import WIDTH, drawn
from loadtests.pictures.overview import lived
from tests.support.browser import NAMES, chromium
from tests.support.processes import PROJECT
from tests.support.tools import tool

_DASHBOARD = PROJECT / "deploy" / "grafana" / "dashboards" / "overview.json"
_SCALE = 1.5
"""The least that is sharp on fine screens too."""


def main() -> int:
    options = _options()
    try:
        for names in (NAMES, ("prometheus",)):
            tool(*names)
    except (pytest.skip.Exception, pytest.fail.Exception) as missing:
        print(missing.msg)
        return 1
    with tempfile.TemporaryDirectory(prefix="pictures-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # root lends PostgreSQL to another user
        take(folder, options.into, seconds=60 * options.minutes, say=lambda line: print(line, flush=True))
    return 0


def take(folder: Path, into: Path, *, seconds: float, say: Callable[[str], object]) -> None:
    """Both pictures; what the programs write meanwhile goes to `folder`."""
    into.mkdir(parents=True, exist_ok=True)
    with lived(folder, seconds=seconds, say=say) as source:
        html = drawn(json.loads(_DASHBOARD.read_text(encoding="utf-8")), source)
    with chromium() as browser:
        say("one chat ...")
        page.picture(browser, folder, into / "page.png")
        _picture(browser, html, into / "overview.png")
    for file in (into / "page.png", into / "overview.png"):
        with Image.open(file) as picture:  # its 256 colours are few enough for a page's; a third of the bytes
            picture.convert("RGB").quantize(dither=Image.Dither.NONE).save(file, optimize=True)
        say(f"{file}: {file.stat().st_size / 1000:.0f} kB")


def _picture(browser: Browser, html: str, file: Path) -> None:
    size = {"width": WIDTH, "height": 1}
    with browser.new_context(viewport=size, device_scale_factor=_SCALE) as context:  # type: ignore[arg-type]
        tab = context.new_page()
        tab.set_content(html)
        tab.screenshot(path=file, full_page=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.pictures", description="The pictures of the README.")
    parser.add_argument("--minutes", type=float, default=4, help="of load (default: %(default)s)")
    parser.add_argument("--into", type=Path, default=PROJECT / "docs" / "pictures", help="a folder")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

"""axe-core in a page: an accessibility check."""

from functools import cache

from playwright.sync_api import Page

from tests.support.processes import PROJECT
from tests.support.tools import do_without

_SCRIPT = PROJECT / "tests" / "node" / "node_modules" / "axe-core" / "axe.min.js"


@cache
def _script() -> str:
    if not _SCRIPT.exists():
        do_without("axe-core is not installed; `npm ci --prefix tests/node` does that")
    return _SCRIPT.read_text()


def violations(page: Page) -> list[str]:
    """Each rule that the page breaks, with the elements that break it."""
    page.evaluate(_script())
    found = page.evaluate("axe.run()")["violations"]
    return [f"{each['id']}: {[node['html'][:200] for node in each['nodes']]}" for each in found]

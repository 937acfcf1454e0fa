"""`python -m app check-groq`: compares a live Groq with what this version assumes about it, in six small requests.

requests.py sends them, checks.py compares the answers. docs/groq.md has the sources, and assumptions that are not asked
for.
"""

import httpx2

from app.commands.check_groq.checks import CHECKS
from app.commands.check_groq.requests import ask
from app.commands.output import fail, show
from app.core.config import Settings
from app.core.text import printable

_NAME_WIDTH = 20


def check_groq(settings: Settings) -> int:
    """Return 0 if everything agrees, 1 if something differs or Groq does not answer, 2 without a key."""
    if settings.groq_api_key is None:
        return fail("GROQ_API_KEY: set it; this asks Groq itself, with six small requests", code=2)
    try:
        replies = ask(settings.groq_base_url, settings.groq_api_key.get_secret_value())
    except httpx2.HTTPError as exc:
        return fail(f"{settings.groq_base_url} does not answer: {exc!s:.200}")
    differing = 0
    for check in CHECKS:
        found = check.run(replies)
        show(f"{'agrees ' if found is None else 'DIFFERS'}  {check.name:<{_NAME_WIDTH}}  {check.assumption}")
        if found is not None:
            differing += 1
            show(f"{' ' * (_NAME_WIDTH + 11)}found: {printable(found)}")
    show(f"\n{len(CHECKS) - differing} agree, {differing} differ; docs/groq.md has the sources, and more assumptions")
    return 1 if differing else 0

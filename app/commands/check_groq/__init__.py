"""`python -m app check-groq`: compares a live Groq with what this version assumes about it.

It belongs to the service, and not to its tests: whoever runs an image can ask with the key and the address that the
service itself has. It makes six small requests.

    facts.py     what is assumed, with its source, in asked_facts.py and unasked_facts.py
    asking.py    the requests, and what came back
    findings.py  what came back against what was assumed
"""

import sys

import httpx2

from app.commands.check_groq.asking import Evidence, ask
from app.commands.check_groq.fact import Fact
from app.commands.check_groq.facts import FACTS, as_markdown
from app.commands.check_groq.findings import Check, finding
from app.core.config import Settings

_NAME_WIDTH = 20


def check_groq(settings: Settings, *, shows_facts: bool) -> int:
    """Returns 0 where everything that was asked for agrees, 1 where something differs or Groq does not answer."""
    if shows_facts:
        print(as_markdown())
        return 0
    if settings.groq_api_key is None:
        sys.stderr.write("GROQ_API_KEY: set it; this asks Groq itself, with six small requests\n")
        return 2
    try:
        evidence = ask(settings.groq_base_url, settings.groq_api_key.get_secret_value())
    except httpx2.HTTPError as exc:
        sys.stderr.write(f"{settings.groq_base_url} does not answer: {exc!s:.200}\n")
        return 1
    differing = [fact for fact in FACTS if fact.check and not _agrees(fact, fact.check, evidence)]
    asked = sum(fact.check is not None for fact in FACTS)
    print(f"\n{asked - len(differing)} agree, {len(differing)} differ; docs/groq.md has {len(FACTS) - asked} more")
    return 1 if differing else 0


def _agrees(fact: Fact, check: Check, evidence: Evidence) -> bool:
    """Whether it does, with a line for it, and more for one that does not."""
    found = finding(check, evidence)
    if found is None:
        print(f"agrees   {fact.name:<{_NAME_WIDTH}}  {fact.says}")
        return True
    beside = " " * (_NAME_WIDTH + 11)
    print(f"DIFFERS  {fact.name:<{_NAME_WIDTH}}  found: {found}")
    print(f"{beside}assumed: {fact.says}")
    print(f"{beside}seen {fact.seen} by {', '.join(fact.sources)}; {fact.test}")
    return False

"""All that is assumed about Groq: the only place where it stands.

docs/groq.md is made from it; prices and retired models come from app/core/models.py.
"""

from collections import defaultdict

from app.commands.check_groq.asked_facts import ASKED
from app.commands.check_groq.fact import About, Fact
from app.commands.check_groq.unasked_facts import UNASKED

FACTS = [*ASKED, *UNASKED]


def as_markdown() -> str:
    """Tables for docs/groq.md."""
    groups: defaultdict[About, list[Fact]] = defaultdict(list)
    for fact in FACTS:
        groups[fact.about].append(fact)
    return "\n\n".join(f"## {about}\n\n{_table(groups[about])}" for about in About)


def _table(facts: list[Fact]) -> str:
    rows = ["| what | seen | where | asked live | test |", "|---|---|---|---|---|"]
    for fact in facts:
        path, _, test = fact.test.partition("::")
        file = path.rpartition("/")[2]
        asked = "yes" if fact.check else "no"
        where = ", ".join(fact.sources)
        rows.append(
            f"| **{fact.name}** {fact.says} | {fact.seen} | {where} | {asked} | [`{file}`](../{path}) `{test}` |"
        )
    return "\n".join(rows)

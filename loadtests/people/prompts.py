"""What people ask, and how long they read what they are answered."""

import random

_QUESTIONS = (
    "Why is the sky blue?",
    "What is a good name for a cat that is afraid of mice?",
    "How do I undo my last commit without losing what I wrote?",
    "Explain to a child why the moon does not fall down.",
    "What does a receipt have to do with a database?",
    "Is it cheaper to heat one room than the whole flat? Please give me the reasons, not only the answer.",
)
_SENTENCES = (
    "The train was late again, so the meeting began without the two people who had called for it.",
    "Nobody could say who had changed the figure in the third column, or when.",
    "In the end they agreed to measure first, and to talk about it afterwards.",
    "The old route over the hill is longer, but it never floods.",
)
_LENGTHS = ((0, 0), (5, 20), (100, 300))
"""Sentences that stand before the question: none, a paragraph, several pages."""
_WEIGHTS = (65, 25, 10)

_LONGEST_S = 60


def ask(rng: random.Random) -> dict[str, object]:
    """The body of one request."""
    [length] = rng.choices(_LENGTHS, weights=_WEIGHTS)
    pasted = [rng.choice(_SENTENCES) for _ in range(rng.randint(*length))]
    question = " ".join([*pasted, rng.choice(_QUESTIONS)])
    brief = {"max_tokens": rng.randint(20, 60)} if rng.random() < 0.2 else {}
    return {"messages": [{"role": "user", "content": question}], "stream": True, **brief}


def reading_s(text: str, rng: random.Random, *, words_per_s: float) -> float:
    """How long somebody looks at an answer before asking again: most skim it, few read it all."""
    return 0.2 + min(_LONGEST_S, len(text.split()) / words_per_s * rng.triangular(0.1, 1.2, 0.5))

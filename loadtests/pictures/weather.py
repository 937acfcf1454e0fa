"""How Groq is, from moment to moment: always a little different, away for a while, and for a while it rations."""

import math
import random
from typing import Any

from app.simulator.models import MODELS as SIMULATED

Fault = dict[str, Any]

MODELS = ("openai/gpt-oss-20b", "openai/gpt-oss-120b", "qwen/qwen3.6-27b")
"""Those with a price. The simulator has others too."""

# From where to where in a run, in parts of it.
AWAY = (0.3, 0.42)
RATIONS = (0.62, 0.76)

_ANSWERS_OF_EACH_MODEL = 6
_PACE = 0.4
"""Of what the model does at best: a Groq with much to do."""
_MEDIAN_WAIT_S = 0.09


def weather(progress: float, rng: random.Random) -> list[Fault]:
    """What the simulator does with the next requests, the first that applies first; `progress` goes from 0 to 1."""
    faults: list[Fault] = [
        {"ending": "truncate", "after_tokens": 30, "words": 200, "probability": 0.004},
        {"silence_s": 1.5, "after_tokens": 30, "words": 200, "probability": 0.01},
    ]
    if AWAY[0] < progress < AWAY[1]:
        faults.append({"status": 503, "probability": 0.5})
    if RATIONS[0] < progress < RATIONS[1]:
        faults.append({"status": 429, "retry_after_s": 600, "model": MODELS[1], "probability": 0.15})
        faults.append({"status": 429, "retry_after_s": rng.choice((1, 2)), "probability": 0.35})
    return faults + [_answer(name, number, rng) for name in MODELS for number in range(_ANSWERS_OF_EACH_MODEL)]


def _answer(model: str, number: int, rng: random.Random) -> Fault:
    """One of the ways in which a model answers now; each is as likely as the others."""
    return {
        "model": model,
        "probability": 1 / (_ANSWERS_OF_EACH_MODEL - number),
        "words": rng.randint(80, 500),
        "tokens_per_s": SIMULATED[model].tokens_per_s * _PACE * rng.uniform(0.6, 1.1),
        "first_token_delay_s": rng.lognormvariate(math.log(_MEDIAN_WAIT_S), 0.7),
    }

"""What the simulated Groq does wrong, by name. `app/simulator/faults.py` lists what there is."""

from collections.abc import Sequence
from typing import Any

Fault = dict[str, Any]

FAULTS: dict[str, list[Fault]] = {
    "503s": [{"status": 503, "probability": 0.3}],
    "rate-limits": [{"status": 429, "retry_after_s": 1, "probability": 0.3}],
    "cuts": [
        {"ending": "truncate", "after_tokens": 20, "probability": 0.05},
        {"ending": "eof", "after_tokens": 30, "probability": 0.05},
    ],
    "errors": [{"ending": "error_event", "after_tokens": 10, "probability": 0.1}],
    "silences": [{"silence_s": 4, "after_tokens": 15, "probability": 0.15}],
    "late-tokens": [{"first_token_delay_s": 2, "probability": 0.15}],
    "outage": [{"status": 503}],
}
"""503s are mostly healed by the service's retries, rate limits too, if late; cuts and errors are not."""


def script(names: Sequence[str], usual: Fault | None = None) -> list[Fault]:
    """For the simulator: each of them with the usual pace, which also holds for those that nothing befalls."""
    pace = usual or {}
    faults = [pace | fault for name in names for fault in FAULTS[name]]
    return [*faults, pace] if pace else faults

"""The page's buttons that make the simulator fail, so that one sees retries and outcomes happen."""

from typing import Any, Literal
from urllib.parse import urljoin

import aiohttp
from fastapi import APIRouter, Request

from app.api.auth import authenticate
from app.api.state import RequestState
from app.core.errors import UpstreamUnreachable

Fault = Literal["unavailable", "limited", "cut", "silent"]

_SCRIPTS: dict[Fault, dict[str, Any]] = {
    "unavailable": {"status": 503, "times": 2},
    "limited": {"status": 429, "retry_after_s": 2, "times": 1},
    "cut": {"ending": "truncate", "after_tokens": 40, "words": 120, "times": 1},
    "silent": {"silence_s": 2.5, "after_tokens": 40, "words": 120, "times": 1},
}
"""As the simulator's `PUT /faults` takes them."""
_TIMEOUT = aiohttp.ClientTimeout(total=5)

router = APIRouter(include_in_schema=False)


@router.put("/page/faults/{fault}", status_code=204)
async def break_next(fault: Fault, request: Request) -> None:
    """The next chat meets this fault, and those after it none; whoever asks next gets it."""
    state: RequestState = request.scope["state"]
    authenticate(request)
    url = urljoin(state["settings"].groq_simulator_url or "", "/faults")
    try:
        async with aiohttp.ClientSession(timeout=_TIMEOUT, raise_for_status=True) as simulator:
            await simulator.put(url, json={"faults": [_SCRIPTS[fault]]})
    except (aiohttp.ClientError, TimeoutError) as exc:
        raise UpstreamUnreachable("the simulator does not answer, so that nothing fails") from exc

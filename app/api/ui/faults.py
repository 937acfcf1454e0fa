"""The page's buttons that inject a fault into the simulator, to show retries and outcomes."""

from typing import Any, Literal
from urllib.parse import urljoin

import aiohttp
from fastapi import APIRouter, Request

from app.api.auth import authenticate
from app.api.state import RequestState
from app.core.upstream import UpstreamUnreachable

Fault = Literal["unavailable", "limited", "cut", "silent"]

_SCRIPTS: dict[Fault, dict[str, Any]] = {
    "unavailable": {"status": 503, "times": 2},
    "limited": {"status": 429, "retry_after_s": 2, "times": 1},
    "cut": {"ending": "truncate", "after_tokens": 40, "times": 1},
    "silent": {"silence_s": 2.5, "after_tokens": 40, "times": 1},
}
"""The faults in the format of the simulator's `PUT /faults`."""
_TIMEOUT = aiohttp.ClientTimeout(total=5)

router = APIRouter(include_in_schema=False)


@router.put("/page/faults/{fault}", status_code=204)
async def inject_fault(fault: Fault, request: Request) -> None:
    """Injects a fault into the next chat of any client."""
    state: RequestState = request.scope["state"]
    authenticate(request)
    url = urljoin(state["settings"].groq_simulator_url or "", "/faults")
    try:
        async with aiohttp.ClientSession(timeout=_TIMEOUT, raise_for_status=True) as simulator:
            await simulator.put(url, json={"faults": [_SCRIPTS[fault]]})
    except (aiohttp.ClientError, TimeoutError) as exc:
        raise UpstreamUnreachable("the simulator does not answer; no fault was injected") from exc

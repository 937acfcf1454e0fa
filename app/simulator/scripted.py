"""What a fault sends instead of an answer, and the headers that it changes."""

import json
from typing import Any

from starlette.responses import Response

from app.simulator.delivery import Delivery, once
from app.simulator.faults import Fault
from app.simulator.refusals import BY_STATUS
from app.simulator.wire import error_body


def scripted(fault: Fault, headers: dict[str, str]) -> Response | None:
    """The response that a fault asks for; None where there is to be an answer, with the headers as they are now."""
    headers.update(_headers(fault))
    for name in [name for name, value in headers.items() if not value]:
        del headers[name]
    if fault.status is None and fault.body is None:
        return None
    body = (json.dumps(_error(fault)) if fault.body is None else fault.body).encode()
    status = fault.status or 200
    return Delivery(once(body), fault, headers, content_type="application/json", status=status, length=len(body))


def _error(fault: Fault) -> dict[str, Any]:
    if fault.error:
        return {"error": fault.error}
    return BY_STATUS.get(fault.status or 0) or error_body(f"status {fault.status}")


def _headers(fault: Fault) -> dict[str, str]:
    """`retry-after`, which 429 has by itself, and what `rate_limit_headers` has."""
    retry_after = fault.retry_after
    if retry_after is None and fault.retry_after_s is not None:
        retry_after = str(fault.retry_after_s)
    if retry_after is None and fault.status == 429:
        retry_after = "1"
    return fault.rate_limit_headers | ({} if retry_after is None else {"retry-after": retry_after})

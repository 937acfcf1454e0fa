"""What people read in a browser: the page of the API's description."""

import re
from base64 import b64encode
from hashlib import sha256

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

HEADERS = {
    "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
"""Of every page that does not say otherwise: it loads nothing, sends nothing, and stands in nobody's frame."""

_SCRIPT = re.compile("<script>(.*?)</script>", re.DOTALL)
_SCRIPT_FROM = re.compile('<script src="(.*?)">')
_STYLE_FROM = re.compile('<link [^>]*rel="stylesheet" href="(.*?)">')


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """Swagger's page. It comes from elsewhere, so that in production it is shown only where somebody wants it."""
    page = get_swagger_ui_html(openapi_url="/openapi.json", title=request.app.title)
    page.headers["content-security-policy"] = _policy(bytes(page.body).decode())
    return page


def _policy(page: str) -> str:
    """Only its own script may run, and Swagger's: those files, as where they are from, everybody's packages are."""
    hashes = " ".join(
        f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in _SCRIPT.findall(page)
    )
    allowed = {
        "script-src": f"{' '.join(_SCRIPT_FROM.findall(page))} {hashes}",
        "style-src": f"{' '.join(_STYLE_FROM.findall(page))} 'unsafe-inline'",
        "img-src": "data: https://fastapi.tiangolo.com",
        "connect-src": "'self'",
    }
    return "; ".join([HEADERS["content-security-policy"], *(f"{name} {value}" for name, value in allowed.items())])

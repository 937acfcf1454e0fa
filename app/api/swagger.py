"""Swagger UI at `/docs`, and the security headers of HTML pages."""

import re
from base64 import b64encode
from hashlib import sha256

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

SECURITY_HEADERS = {
    "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
"""The default for HTML pages: nothing is loaded, no form is sent, no other site can frame the page."""

_SCRIPT = re.compile("<script>(.*?)</script>", re.DOTALL)
_SCRIPT_FROM = re.compile('<script src="(.*?)">')
_STYLE_FROM = re.compile('<link [^>]*rel="stylesheet" href="(.*?)">')


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """Swagger UI, which the browser loads from a CDN. Off in production by default."""
    page = get_swagger_ui_html(openapi_url="/openapi.json", title=request.app.title)
    page.headers["content-security-policy"] = _policy(bytes(page.body).decode())
    return page


def _policy(page: str) -> str:
    """Allows the page's inline script and the files of Swagger UI by their URLs: the CDN hosts every npm package."""
    hashes = " ".join(
        f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in _SCRIPT.findall(page)
    )
    allowed = {
        "script-src": f"{' '.join(_SCRIPT_FROM.findall(page))} {hashes}",
        "style-src": f"{' '.join(_STYLE_FROM.findall(page))} 'unsafe-inline'",
        "img-src": "data: https://fastapi.tiangolo.com",
        "connect-src": "'self'",
    }
    return "; ".join(
        [SECURITY_HEADERS["content-security-policy"], *(f"{name} {value}" for name, value in allowed.items())]
    )

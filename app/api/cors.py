"""Which pages may ask from a browser: those that the settings name, and by default none."""

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from app.core.config import Settings

_RATE_LIMITS = [
    f"x-ratelimit-{what}-{kind}" for what in ("limit", "remaining", "reset") for kind in ("requests", "tokens")
]
_EXPOSED = ["x-request-id", "traceresponse", "retry-after", "x-model-mapped-to", *_RATE_LIMITS]


def install(app: FastAPI, settings: Settings) -> None:
    """Outermost, so that a page can read refusals too. Nobody is known by a cookie here, so any header may be sent."""
    if settings.cors_allow_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_allow_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=_EXPOSED,
        )

"""CORS: which web pages may call the service from a browser."""

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from app.core.config import Settings

_RATE_LIMITS = [
    f"x-ratelimit-{what}-{kind}" for what in ("limit", "remaining", "reset") for kind in ("requests", "tokens")
]
_EXPOSED = ["x-request-id", "traceresponse", "retry-after", "x-model-mapped-to", *_RATE_LIMITS]


def install(app: FastAPI, settings: Settings) -> None:
    """Adds the CORS middleware, outermost so that pages can read refusals. Without cookies any header is safe."""
    if settings.cors_allow_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_allow_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=_EXPOSED,
        )

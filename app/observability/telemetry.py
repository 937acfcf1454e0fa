"""All signals of one process: built with the app, running while it runs."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI

from app import __version__
from app.core.config import Settings
from app.observability.log_output import log_output
from app.observability.loop_lag import watching_loop
from app.observability.metrics import Metrics
from app.observability.metrics_server import MetricsServer
from app.observability.probe import Probe
from app.observability.soon import Soon
from app.observability.tracing import Tracing


class Telemetry:
    """Metrics and traces; `probe` is what the rest of the service tells its facts to."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.metrics = Metrics(
            models=settings.own_models | settings.model_prices.keys() | set(settings.allowed_models),
            info={"version": __version__, "environment": settings.app_env},
            workers=settings.web_concurrency,
        )
        self._metrics_server = MetricsServer(self.metrics.registry, settings)
        self._tracing = Tracing(
            settings, identity=_resource(settings), on_dropped=self.metrics.worker.spans_dropped.inc
        )
        self._soon = Soon()
        self.probe = Probe(
            self.metrics,
            self._tracing.tracer,
            server=_address(settings.groq_endpoint[0]),
            database="sqlite" if settings.embedded_database else "postgresql",
            refused_lines_per_s=settings.log_refusals_per_s,
            soon=self._soon,
        )

    def instrument(self, app: FastAPI) -> None:
        """Gives each request of the app a SERVER span."""
        self._tracing.instrument(app)

    async def free_port(self) -> None:
        """Serves no metrics any longer, so that another process may."""
        await self._metrics_server.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Spans leave, metrics are served and the event loop is watched until this is left."""
        async with AsyncExitStack() as stack:
            stack.callback(log_output.flush)  # uvicorn ends its process by a signal, and without atexit
            await stack.enter_async_context(self._metrics_server.running())
            await stack.enter_async_context(self._tracing.exporting())
            stack.callback(self._soon.close)
            await stack.enter_async_context(watching_loop(self.metrics.worker.loop_lag.observe))
            yield


def identity(settings: Settings) -> dict[str, Any]:
    """Who writes a line: the service, its version, where it runs, and which worker of its machine it is."""
    return {
        "service": service_name(),
        "version": __version__,
        "environment": settings.app_env,
        "worker": settings.worker_slot,
    }


def service_name() -> str:
    """OpenTelemetry's variable names it, for traces and lines alike."""
    return os.environ.get("OTEL_SERVICE_NAME") or "groq-stream"


def _resource(settings: Settings) -> dict[str, str]:
    return {
        "service.name": service_name(),
        "service.version": __version__,
        "service.instance.id": f"{os.uname().nodename}/{settings.worker_slot}",
        "deployment.environment.name": settings.app_env,
    }


def _address(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    return {"server.address": parts.hostname, "server.port": parts.port or (443 if parts.scheme == "https" else 80)}

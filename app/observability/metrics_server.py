"""Where Prometheus asks: a port of the worker's own, in a thread of its own, and never the public port."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from prometheus_client import CollectorRegistry, start_http_server

from app.core.config import Settings

log = structlog.get_logger(__name__)


@asynccontextmanager
async def serving(registry: CollectorRegistry, settings: Settings) -> AsyncIterator[None]:
    """`METRICS_PORT` plus the worker's slot is the port. A worker that cannot have it serves chats all the same."""
    port = settings.metrics_port and settings.metrics_port + settings.worker_slot
    try:
        server, thread = start_http_server(port, settings.metrics_host, registry)
    except (OSError, OverflowError) as exc:
        log.error("metrics.not_served", host=settings.metrics_host, port=port, error=str(exc))
        yield
        return
    log.info("metrics.served", host=settings.metrics_host, port=server.server_port, pid=os.getpid())
    try:
        yield
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        thread.join()

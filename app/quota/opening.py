"""Quotas for the life of a process, if there are any."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from uuid import UUID

from app.core.config import Settings
from app.core.record import ChatRecord

if TYPE_CHECKING:
    from app.quota.access import Probe
    from app.quota.quota import Quota


class Unlimited:
    """Everyone may ask for as much as they like, and nobody counts."""

    async def enter(self, client: str | None, visit: UUID) -> Mapping[str, str]:  # noqa: ARG002
        return {}

    def leave(self, visit: UUID) -> None:
        pass

    def ended(self, record: ChatRecord) -> None:
        pass


@asynccontextmanager
async def opened(settings: Settings, probe: "Probe") -> AsyncIterator["Quota | Unlimited"]:
    """What the settings say."""
    if not settings.has_quota:
        yield Unlimited()
        return
    from app.quota.counted import counted  # noqa: PLC0415 - Redis's client is large, and most do without

    async with counted(settings, probe) as quota:
        yield quota


def redis_problems(settings: Settings) -> list[str]:
    """What no connection can be made of, though it looks like an address: the sentence."""
    if settings.redis_url is None or not settings.has_quota:
        return []
    from app.quota.one_trip import pool_of  # noqa: PLC0415 - as above

    try:
        pool_of(settings.redis_url.get_secret_value()).make_connection()  # type: ignore[no-untyped-call] # is none
    except Exception:  # noqa: BLE001 - redis-py has an exception of another kind for each thing that is wrong
        return [
            "REDIS_URL: behind its ? stands what redis-py has no option for, or a value that the option cannot have"
        ]
    return []

"""A query of stored chats, and a page of its result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from app.core.outcomes import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatQuery:
    """The chats of `client` (None: those without a key) or of any client; other conditions apply unless they are None.

    `since` is inclusive, `until` is not. `after` is the last chat of the page before. `whole` returns every column;
    otherwise messages and parameters are left out, and the prompt is cut.
    """

    client: str | None = None
    any_client: bool = False
    model: str | None = None
    outcome: Outcome | None = None
    error_code: str | None = None
    end_user: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: UUID | None = None
    newest_first: bool = True
    limit: int = 20
    whole: bool = False


class ChatPage(NamedTuple):
    """The columns of each chat, and whether there are more chats."""

    rows: Sequence[Mapping[str, Any]]
    has_more: bool

"""The rows of `chat_logs`, and whether an answer is the one to its own question.

Every question is an id such as `chaos-12`, sent as `x-request-id` too. The simulator quotes the question in its answer.
"""

import re
from dataclasses import dataclass

from tests.support.database import query

_QUOTED = re.compile("“([a-z]+-[0-9]+)”")


@dataclass(frozen=True, slots=True)
class Row:
    """`client_request_id` is the client's `x-request-id`, `tokens` those of the completion."""

    id: str
    client_request_id: str | None
    outcome: str
    response: str
    tokens: int = 0


def read_rows(database_url: str) -> list[Row]:
    """All rows of the table itself, whatever its unique index would say of duplicates."""
    sql = (
        "SELECT id::text, client_request_id, outcome, coalesce(response, '') AS response, "
        "coalesce(completion_tokens, 0) AS tokens FROM chat_logs"
    )
    return [Row(**row) for row in query(database_url, sql)]


def answers_another(text: str, client_request_id: str | None, *, complete: bool) -> bool:
    """Whether a text quotes another question; a complete one has to quote its own."""
    quoted = set(_QUOTED.findall(text))
    return bool(quoted - {client_request_id}) or (complete and client_request_id not in quoted)

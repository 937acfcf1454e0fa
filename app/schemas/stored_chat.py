"""Stored chats as OpenAI's objects; what OpenAI has no field for is in `x_chat`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app.core.record import METADATA

_SHOWN = METADATA | {"prompt", "end_user"}
"""Columns in `x_chat`. A new column is not shown until it is listed."""


def completion_object(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as OpenAI's stored completion. `id` is the answer's id, or the chat's if there was no answer."""
    params = row.get("params")
    return {
        "id": row["upstream_response_id"] or str(row["id"]),
        "object": "chat.completion",
        "created": int(row["created_at"].timestamp()),
        "model": row["model_name"],
        "choices": [_choice(row)],
        "usage": _usage(row),
        "x_chat": {"state": "stored"}
        | {name: value for name, value in row.items() if name in _SHOWN}
        | {"id": str(row["id"]), "content_stored": row["has_content"]}
        | {"attempt_log": attempts_without(row, "cause")}
        | ({} if params is None else {"params": params}),
    }


def attempts_without(row: Mapping[str, Any], *names: str) -> list[dict[str, Any]]:
    """The attempts of a row. The `cause` of a failed connection is for operators; the `message` may quote the chat."""
    attempts = row["attempt_log"] or []
    return [{name: fact for name, fact in each.items() if name not in names} for each in attempts]


def running_object(chat: dict[str, Any], *, worker: int) -> dict[str, Any]:
    """A running chat, without choices: its text is not shown before its end."""
    return {
        "id": str(chat["id"]),
        "object": "chat.completion",
        "created": int(chat["created_at"].timestamp()),
        "model": chat["model_name"],
        "choices": [],
        "usage": None,
        "x_chat": {"state": "running", "worker": worker} | chat | {"id": str(chat["id"])},
    }


def list_object(items: Sequence[Mapping[str, Any]], *, has_more: bool) -> dict[str, Any]:
    """OpenAI's list, of which the clients request the next page after the last id."""
    first, last = (items[0]["id"], items[-1]["id"]) if items else (None, None)
    return {"object": "list", "data": items, "first_id": first, "last_id": last, "has_more": has_more}


def message_objects(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The messages of the request, each with an id; none if the chat's content is not stored."""
    for number, message in enumerate(row["messages"] or []):
        content = message.get("content")
        parts = content if isinstance(content, list) else None
        yield message | {
            "id": f"{row['id']}-{number}",
            "content": content if parts is None else None,
            "content_parts": parts,
        }


def _choice(row: Mapping[str, Any]) -> dict[str, Any]:
    """Of several choices, the row has the texts as one."""
    optional = {"reasoning": row["reasoning"], "tool_calls": row["tool_calls"]}
    message = {"role": "assistant", "content": row["response"], "refusal": row["refusal"]}
    message |= {name: value for name, value in optional.items() if value is not None}
    return {"index": 0, "finish_reason": row["finish_reason"], "logprobs": None, "message": message}


def _usage(row: Mapping[str, Any]) -> dict[str, Any] | None:
    if row["prompt_tokens"] is None:
        return None
    return {
        "prompt_tokens": row["prompt_tokens"],
        "completion_tokens": row["completion_tokens"],
        "total_tokens": row["prompt_tokens"] + row["completion_tokens"],
        "prompt_tokens_details": {"cached_tokens": row["cached_tokens"]},
        "completion_tokens_details": {"reasoning_tokens": row["reasoning_tokens"]},
    }

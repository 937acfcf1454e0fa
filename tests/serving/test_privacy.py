"""With `CHAT_LOG_CONTENT=none`, or `"store": false` in a request, no content of a chat is stored anywhere."""

import json
from pathlib import Path

import httpx2
import pytest

from app.core.config import Settings
from app.core.record import METADATA
from tests.serving.content import MARKER, PARAMS, locked, marked_service
from tests.support.shared import SharedResources

OUTCOMES = ["completed", "completed", "completed", "internal_error", "upstream_error", "upstream_rejected"]


@pytest.mark.parametrize(
    ("setting", "store"),
    [("none", {}), ("none", {"store": True}), ("full", {"store": False})],
    ids=["CHAT_LOG_CONTENT=none", "CHAT_LOG_CONTENT=none, store: true", "store: false"],
)
def test_content_is_in_no_row_file_or_signal(
    setting: str,
    store: dict[str, bool],
    database: Settings,
    http: httpx2.Client,
    tmp_path: Path,
    shared: SharedResources,
) -> None:
    with marked_service(tmp_path, http, database, shared, setting=setting, store=store) as service:
        ids = service.chats()
        found = service.readable(ids)
        found["the database"] = service.database()
        if not database.embedded_database:
            with locked(service.workers.database_url):
                queued = service.chat()
                assert queued.done
                found["the outbox"] = service.outbox()
                assert queued.id in found["the outbox"]
            ids.append(queued.id)
        rows = service.rows(ids)
        found["the database afterwards"] = service.database()
        assert all('"store"' not in sent and MARKER in sent for sent in service.upstream.requests)
    found["the log"] = service.workers.program.output
    found["the spans"] = (tmp_path / "traces.jsonl").read_text()
    assert "RuntimeError" in found["the log"]
    for where, text in found.items():
        assert text, where
        assert MARKER not in text, f"it is in {where}"
    assert rows.keys() == set(ids)
    assert sorted(row["outcome"] for row in rows.values()) == OUTCOMES[len(OUTCOMES) - len(ids) :]
    for row in rows.values():
        params = json.loads(row.pop("params"))
        assert params in (PARAMS | store, PARAMS | store | {"stream": False})
        assert all(value is None for name, value in row.items() if name not in METADATA)


def test_stored_content_is_in_rows_and_the_outbox_and_in_no_signal(
    database: Settings, http: httpx2.Client, tmp_path: Path, shared: SharedResources
) -> None:
    """With the same search as above, which otherwise would prove nothing."""
    with marked_service(tmp_path, http, database, shared, setting="full", store={"store": True}) as service:
        ids = service.chats()
        found = service.readable(ids)
        places = [service.database(), found["make chats"], found["its JSON"], found["stored chats"]]
        if not database.embedded_database:
            with locked(service.workers.database_url):
                assert service.chat().done
                places.append(service.outbox())
        assert all('"store"' not in sent for sent in service.upstream.requests)
    lines = [line for line in service.workers.program.lines if "RuntimeError" not in line]
    assert any("chat.finished" in line for line in lines)
    signals = [found["the page"], found["the metrics"], "".join(lines), (tmp_path / "traces.jsonl").read_text()]
    assert [MARKER in text for text in (*places, *signals)] == [True] * len(places) + [False] * 4

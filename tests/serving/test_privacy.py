"""With `CHAT_LOG_CONTENT=none`, or `"store": false` in a request, what people and models wrote is stored nowhere."""

import json
from pathlib import Path

import httpx2
import pytest

from app.core.config import Settings
from app.core.record import FACTS
from tests.serving.written import MARK, PLAIN, locked, staged
from tests.support.shared import SharedResources

OUTCOMES = ["completed", "completed", "completed", "internal_error", "upstream_error", "upstream_rejected"]


@pytest.mark.parametrize(
    ("setting", "store"),
    [("none", {}), ("none", {"store": True}), ("full", {"store": False})],
    ids=["CHAT_LOG_CONTENT=none", "which no request raises", "store: false"],
)
def test_nothing_that_was_written_is_anywhere(
    setting: str,
    store: dict[str, bool],
    database: Settings,
    http: httpx2.Client,
    tmp_path: Path,
    shared: SharedResources,
) -> None:
    with staged(tmp_path, http, database, shared, setting=setting, store=store) as stage:
        ids = stage.chats()
        found = stage.everything_else(ids)
        found["the database"] = stage.database()
        if not database.embedded_database:
            with locked(stage.workers.database_url):
                waiting = stage.ask()
                assert waiting.done
                found["the outbox"] = stage.outbox()
                assert waiting.id in found["the outbox"]
            _ = stage.workers.row_in_time(waiting.id, 20)
            ids.append(waiting.id)
        found["the database afterwards"] = stage.database()
        rows = stage.rows()
        assert all('"store"' not in sent and MARK in sent for sent in stage.upstream.requests)
    found["the log"] = stage.workers.program.output
    found["the spans"] = (tmp_path / "traces.jsonl").read_text()
    assert "RuntimeError" in found["the log"]
    for where, text in found.items():
        assert text, where
        assert MARK not in text, f"it is in {where}"
    assert rows.keys() == set(ids)
    assert sorted(row["outcome"] for row in rows.values()) == OUTCOMES[len(OUTCOMES) - len(ids) :]
    for row in rows.values():
        params = json.loads(row.pop("params"))
        assert params in (PLAIN | store, PLAIN | store | {"stream": False})
        assert all(value is None for name, value in row.items() if name not in FACTS)


def test_with_content_the_same_search_finds_it_in_rows_and_in_no_signal(
    database: Settings, http: httpx2.Client, tmp_path: Path, shared: SharedResources
) -> None:
    """Or the test above would prove nothing."""
    with staged(tmp_path, http, database, shared, setting="full", store={"store": True}) as stage:
        ids = stage.chats()
        found = stage.everything_else(ids)
        places = [stage.database(), found["make chats"], found["its JSON"]]
        if not database.embedded_database:
            with locked(stage.workers.database_url):
                assert stage.ask().done
                places.append(stage.outbox())
        assert all('"store"' not in sent for sent in stage.upstream.requests)
    lines = [line for line in stage.workers.program.lines if "RuntimeError" not in line]
    assert any("chat.finished" in line for line in lines)
    signals = [found["the page"], found["the metrics"], "".join(lines), (tmp_path / "traces.jsonl").read_text()]
    assert [MARK in text for text in (*places, *signals)] == [True] * len(places) + [False] * 4

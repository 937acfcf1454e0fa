"""Fixtures of the tests of rows."""

import pytest

from app.db import commits, replay


@pytest.fixture
def fast_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "_PING_INTERVAL_S", 0.01)
    monkeypatch.setattr(replay, "_INTERVAL_S", 0.01)
    monkeypatch.setattr(replay, "_MAX_PAUSE_S", 0.02)

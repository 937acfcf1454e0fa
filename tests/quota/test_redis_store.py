"""What a worker remembers for a Redis that does not answer."""

from typing import Any

import pytest

from app.quota import redis_store
from app.quota.quota import Limits, StoreUnavailable


class UnconfirmingScripts:
    """A Redis that admits every chat and confirms no end of one."""

    def __init__(self) -> None:
        self.redis = self
        self.updates: list[list[Any]] = []

    def register_script(self, script: str) -> str:
        return script

    async def run(self, operation: str, _script: str, _keys: list[str], args: list[Any]) -> list[int]:
        if operation == "enter":
            return [1, 0, 0, 0, 1]
        self.updates.append(args)
        raise StoreUnavailable


async def test_ends_that_redis_does_not_confirm_are_remembered_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_store, "_MAX_ENDED", 2)
    scripts: Any = UnconfirmingScripts()
    store = redis_store.RedisStore(scripts, Limits(requests=None, tokens=None, streams=9))
    for number in range(5):
        await store.enter("first", str(number), cost=0)
        store.leave("first", str(number))
    with pytest.raises(StoreUnavailable):
        await store.settle("first", 0)
    (update,) = scripts.updates
    assert sorted(update[4:]) == ["0", "1"]

"""The list of running chats, by key. On real processes: `tests/serving/test_continued_chats.py`."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from tests.support.openai_client import KEY, OTHER_KEY, authorized
from tests.support.service import DROP_IN, HELLO, Service, SimulatedGroq
from tests.support.waiting import wait_until


def test_callers_see_only_their_own_running_chats(compat: Service, groq: SimulatedGroq) -> None:
    groq.fail({"tokens_per_s": 5, "words": 600})
    url, keys = f"{compat.url}{DROP_IN}", (KEY, OTHER_KEY)
    streams: list[Iterator[bytes]] = []  # which would close their responses if they were dropped

    def listed(key: str, **query: Any) -> Any:
        return compat.http.get(url, params={"state": "running", **query}, headers=authorized(key)).json()

    wait_until(lambda: not any(listed(key)["data"] for key in keys), "a chat of another test runs")
    with ExitStack() as running:

        def begin(key: str) -> str:
            chat = compat.http.stream("POST", url, json=HELLO | {"stream": True}, headers=authorized(key))
            response = running.enter_context(chat)
            streams.append(response.iter_raw())
            next(streams[-1])
            return str(response.headers["x-request-id"])

        mine = [begin(KEY), begin(KEY)]
        theirs = begin(OTHER_KEY)
        shown = [[each["id"] for each in listed(key)["data"]] for key in keys]
        assert shown == [mine, [theirs]]
        assert [each["id"] for each in listed(KEY, order="desc")["data"]] == mine[::-1]
        page = listed(KEY, limit=1)
        assert ([each["id"] for each in page["data"]], page["has_more"]) == (mine[:1], True)
        assert listed(OTHER_KEY, limit=1)["has_more"] is False
    for chat_id in (*mine, theirs):
        compat.row_in_time(chat_id)

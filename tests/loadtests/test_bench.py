"""The benchmark's ends agree with each other, its contenders answer, and its report leaves alone what others wrote."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from loadtests.bench import litellm, nginx
from loadtests.bench.answer import Answer, Chat
from loadtests.bench.clients import Crowd
from loadtests.bench.contenders import ALL_OFF, ALL_ON, DIRECT, LITELLM, NGINX, PLAIN, started
from loadtests.bench.frames import ending, frames
from loadtests.bench.honesty import Witness
from loadtests.bench.http1 import message
from loadtests.bench.load import Load
from loadtests.bench.machine import Cores
from loadtests.bench.measure import measure
from loadtests.bench.report import BEGIN, END, Section, Target, as_markdown, on_terminal, write_between
from loadtests.bench.seen import Seen
from loadtests.bench.stage import Stage, stage
from tests.support.processes import program
from tests.support.shared import SharedResources
from tests.support.tools import tool

LOAD = Load(tokens=20, rate=1000, first_ms=5, clients=3, chats=9)
EVERYWHERE = Cores.of_this_machine()
CORES = replace(EVERYWHERE, server=[*EVERYWHERE.server, *EVERYWHERE.ends], ends=[*EVERYWHERE.server, *EVERYWHERE.ends])
"""Nothing is timed here: who comes first may have them."""


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with program(["loadtests.bench.upstream"], cwd=tmp_path_factory.mktemp("upstream")) as running:
        yield running.url()


@pytest.fixture(scope="module")
def around(shared: SharedResources) -> Iterator[Stage]:
    with stage(shared.open_folder("bench"), CORES, say=print) as real:
        yield real


def ask(upstream: str, load: Load, path: str = "/openai/v1/chat/completions") -> Seen:
    return Crowd(("127.0.0.1", urlsplit(upstream).port or 0), path, load).run()


@pytest.mark.parametrize("load", [LOAD, replace(LOAD, arrivals_per_s=200), replace(LOAD, tokens=1, chats=3)])
def test_the_clients_get_what_they_asked_for(upstream: str, load: Load) -> None:
    seen = ask(upstream, load)
    assert (len(seen.chats), seen.errors, seen.tokens) == (load.chats, {}, load.chats * load.tokens)
    for chat in seen.chats:
        assert 0 <= chat.added_s < chat.first_token_s <= chat.whole_s
        assert chat.receipt_s >= 0


def test_a_stream_that_is_cut_and_a_request_that_is_refused_are_errors(upstream: str) -> None:
    assert ask(upstream, replace(LOAD, cut=7)).errors == {"cut off": LOAD.chats}
    assert ask(upstream, replace(LOAD, tokens=-1)).errors == {"status 400": LOAD.chats}


def test_an_answer_with_a_hole_or_without_its_end_is_an_error() -> None:
    events, end = frames(20), ending(20, 1, 2, 3)
    assert read([*events, end]).error is None
    assert read([*events[:5], *events[6:], end]).error == "events that are missing or out of order"
    assert (
        read([*events[:5], events[6], events[5], *events[7:], end]).error == "events that are missing or out of order"
    )
    assert read([*events, b"0\r\n\r\n"]).error == "no [DONE]"
    assert read(events).error == "cut off"


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_bodies_end_where_they_end_however_they_are_framed(size: int) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (b"Hello", b", ", b"world")) + b"0\r\n\r\n"
    for head in (b"POST / HTTP/1.1\r\nContent-Length: 12", b"POST / HTTP/1.1\r\ntransfer-encoding: chunked"):
        whole = head + b"\r\n\r\n" + (b"Hello, world" if b"Length" in head else chunks)
        assert all(message(whole[:end]) is None for end in range(0, len(whole), size))
        assert message(whole + b"more") == (head, b"Hello, world", b"more")


@pytest.mark.long
@pytest.mark.parametrize("name", [DIRECT, NGINX, ALL_OFF, ALL_ON, PLAIN, LITELLM])
def test_every_contender_relays_every_token(around: Stage, name: str) -> None:
    if name == NGINX and nginx.installed() is None:
        tool("nginx")  # skips, or fails where it has to be there
    if name == LITELLM and litellm.installed() is None:
        pytest.skip("LiteLLM is not installed")
    with started(around, name) as contender:
        assert contender is not None
        run = measure(around, contender, LOAD)
        assert around.problems == []
        assert run.seen.tokens == LOAD.chats * LOAD.tokens


@pytest.mark.long
def test_a_chat_whose_signals_are_missing_is_noticed(around: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadtests.bench.honesty._PATIENCE_S", 1)
    with started(around, ALL_ON) as contender:
        assert contender is not None
        assert contender.service is not None
        witness = Witness(around, contender)
        assert contender.service.chat({"messages": [{"role": "user", "content": LOAD.text}]}).done
        assert witness.problem(2) == "all on: after 2 chats there were 1 rows"


def test_the_report_is_written_between_its_markers(tmp_path: Path) -> None:
    path = tmp_path / "performance.md"
    path.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\nprose\n")
    targets = [Target("a token", 1.234, "≤", 2, "x"), Target("a chat", float("nan"), "≤", 1, "ms")]
    sections = [Section("Cost", "Of a token.", ["", "µs"], [["nginx", "8"]], targets)]
    write_between(path, as_markdown(sections, ["today"]))
    text = path.read_text()
    assert text.startswith(f"# Title\n\n{BEGIN}\n- today\n")
    assert text.endswith(f"\n{END}\n\nprose\n")
    assert "old" not in text
    for line in ("| nginx | 8 |", "| a token | 1.23 x | ≤ 2 x | kept |", "| a chat | - ms | ≤ 1 ms | not measured |"):
        assert line in text
    assert "nginx   8" in on_terminal(sections)
    path.write_text("# Title\n")
    with pytest.raises(ValueError, match="has no"):
        write_between(path, "figures")


def read(parts: list[bytes]) -> Chat:
    answer = Answer(0)
    for at, part in enumerate(parts):
        answer.feed(part, at + 1)
    return answer.chat(20)

"""Short runs of the load test: it sees how chats end, and its exit code says whether the promises are kept."""

import itertools
import json
import re
import signal
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from app.core.errors import ServiceError
from app.core.outcomes import Outcome
from loadtests.people.answer import Answer
from loadtests.people.ending import CUT, LEFT, SILENT, UNREACHED, Ending, Side, ended, refused
from loadtests.people.faults import FAULTS, script
from loadtests.people.objectives import RULES, Counts, Objectives, findings
from loadtests.people.plan import plan
from loadtests.people.shapes import SHAPES
from tests.support.processes import program, run
from tests.support.service import SimulatedGroq

OBJECTIVES = Objectives.of(RULES.read_text())
BAD = OBJECTIVES.bad
ROLE = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
LAST = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"
WORDS_READ = "--words-per-s=200"


def token(text: str) -> bytes:
    return b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % text.encode()


def error(code: str) -> bytes:
    return b'event: error\ndata: {"error": {"code": "%s"}}\n\n' % code.encode()


def read(*events: bytes, size: int | None = None) -> Answer:
    """Fed event by event, at seconds 1, 2, 3 …; or in pieces of so many bytes, all at once."""
    answer, data = Answer(), b"".join(events)
    pieces = events if size is None else [data[at : at + size] for at in range(0, len(data), size)]
    for at, piece in enumerate(pieces):
        answer.feed(piece, at + 1 if size is None else 0)
    return answer


def test_the_role_is_no_token_and_comments_are_none() -> None:
    answer = read(ROLE, b": still there\n\n", token("Hello"), token(" you"), token(" there"), LAST, DONE)
    assert (answer.first_token_at, answer.last_token_at, answer.tokens) == (3, 5, 3)
    assert answer.time_per_output_token_s == 1
    assert (answer.text, answer.done) == ("Hello you there", True)
    assert read(ROLE, LAST, DONE).first_token_at is None


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_answer_may_come_in_pieces_of_any_size(size: int) -> None:
    answer = read(ROLE, token("Hello"), error("upstream_broken"), size=size)
    assert (answer.tokens, answer.error_code, answer.done) == (1, "upstream_broken", False)


@pytest.mark.parametrize(
    ("ending", "name", "side"),
    [
        (ended(read(ROLE, token("a"), LAST, DONE)), "chat completed", Side.GOOD),
        (ended(read(ROLE, token("a"), LAST)), "chat cut off without a word", Side.BAD),
        (ended(read()), "chat cut off without a word", Side.BAD),
        (ended(read(token("a"), error("upstream_broken"))), "chat ended by error: upstream_broken", Side.BAD),
        (ended(read(error("words_of_groq"))), "chat ended by error: words_of_groq", Side.BAD),
        (ended(read(b"event: error\ndata: oops\n\n")), "chat ended by error: without a code", Side.BAD),
        (ended(read(token("a"), error("server_draining"))), "chat ended by error: server_draining", Side.NEITHER),
        (ended(read(token("a"), error("client_stalled"))), "chat ended by error: client_stalled", Side.NEITHER),
        (refused(503, b'{"error": {"code": "overloaded"}}'), "chat refused: 503 overloaded", Side.BAD),
        (refused(503, b'{"error": {"code": "server_draining"}}'), "chat refused: 503 server_draining", Side.BAD),
        (refused(429, b'{"error": {"code": "quota_exceeded"}}'), "chat refused: 429 quota_exceeded", Side.NEITHER),
        (refused(429, b'{"error": {"code": "slow_down"}}'), "chat refused: 429 slow_down", Side.BAD),
        (refused(401, b'{"error": {"code": "invalid_api_key"}}'), "chat refused: 401 invalid_api_key", Side.NEITHER),
        (refused(404, b'{"detail": "Not Found"}'), "chat refused: 404", Side.NEITHER),
        (refused(502, b"<html>Bad Gateway</html>"), "chat refused: 502", Side.BAD),
        (LEFT, "chat left by its user", Side.NEITHER),
        (CUT, "chat cut off without a word", Side.BAD),
        (SILENT, "chat given up in silence", Side.BAD),
        (UNREACHED, "chat without a connection", Side.BAD),
    ],
)
def test_each_ending_has_its_name_and_its_side(ending: Ending, name: str, side: Side) -> None:
    assert (ending.name, ending.side(BAD)) == (name, side)


def test_an_error_of_the_service_counts_as_the_outcome_that_it_has_there() -> None:
    for kind in every(ServiceError):
        body = json.dumps({"error": {"code": kind.code}}).encode()
        if kind.code != "server_draining":  # cut off by a drain, or turned away by it: the event and the status differ
            assert refused(kind.status, body).outcome is kind.outcome, kind


def every(kind: type[ServiceError]) -> list[type[ServiceError]]:
    return [each for sub in kind.__subclasses__() for each in [sub, *every(sub)]]


def test_the_objectives_are_those_of_prometheus() -> None:
    groups = YAML(typ="safe", pure=True).load(RULES)["groups"]
    told = {
        rule["labels"]["sloth_id"]: rule["expr"] for rule in groups[0]["rules"] if "sloth_id" in rule.get("labels", {})
    }
    assert f"vector({OBJECTIVES.availability:g})" == told["chat-availability"]
    assert f"vector({OBJECTIVES.first_token:g})" == told["chat-time-to-first-token"]
    assert f"vector({OBJECTIVES.per_token:g})" == told["chat-time-per-output-token"]
    assert (OBJECTIVES.first_token_s, OBJECTIVES.per_token_s) == (1, 0.02)
    assert Outcome.UPSTREAM_TIMEOUT in BAD
    assert not BAD & {Outcome.COMPLETED, Outcome.CLIENT_DISCONNECTED, Outcome.DRAINING, Outcome.REJECTED_QUOTA}
    assert Objectives.of(RULES.read_text().replace("vector(0.995)", "vector(0.9)")).availability == 0.9


def test_a_promise_is_kept_up_to_its_bound_and_never_by_nothing() -> None:
    counts = Counts(good=995, bad=5, first_token_ms={1000: 95, 1010: 5}, per_token_ms={20: 94, 20.1: 6})
    assert [found.verdict for found in findings(OBJECTIVES, counts)] == ["kept", "kept", "missed"]
    nothing = Counts(good=0, bad=0, first_token_ms={}, per_token_ms={})
    assert {found.verdict for found in findings(OBJECTIVES, nothing)} == {"not measured"}


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_reaches_its_users_and_ends(name: str) -> None:
    seen = [SHAPES[name].population(second, 50, 60) for second in range(60)]
    assert max(each[0] for each in seen if each) == 50
    assert all(each and 0 < each[0] <= 50 and each[1] > 0 for each in seen)
    assert SHAPES[name].population(60, 50, 60) is None


def test_a_spike_rises_and_falls() -> None:
    users = [population[0] for second in range(60) if (population := SHAPES["spike"].population(second, 50, 60))]
    assert [(count, len(list(same))) for count, same in itertools.groupby(users)] == [(10, 20), (50, 20), (10, 20)]


@pytest.mark.parametrize("name", FAULTS)
def test_the_simulator_takes_each_set_of_faults(name: str, groq: SimulatedGroq) -> None:
    groq.fail(*script([name], {"tokens_per_s": 60}))


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("--shape=round", "SHAPE is one of steady, spike, overload, and not 'round'."),
        ("--faults=503s,fire", f"FAULTS are some of {', '.join(FAULTS)}, and not 'fire'."),
        ("--users=none", "USERS is a number from 1 to 100000, and not 'none'."),
        ("--duration=soon", "DURATION is a time such as 90s, 10m or 1h, and not 'soon'."),
        ("--host=localhost", "HOST is an address such as http://127.0.0.1:8000, and not 'localhost'."),
    ],
)
def test_what_makes_no_sense_is_told_in_a_sentence(
    option: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as told:
        plan([option])
    assert told.value.code == 2
    assert capsys.readouterr().err == f"{sentence}\n"


def people(folder: Path, *options: str) -> tuple[int, str]:
    return run(["loadtests.people", WORDS_READ, *options], cwd=folder)


def row(output: str, name: str) -> list[str]:
    """The cells beside a name in the tables."""
    [line] = re.findall(rf"^  {re.escape(name)}  +(.*)$", output, re.MULTILINE)
    return [cell for cell in re.split(r"  +", line) if cell]


def report(folder: Path, output: str) -> str:
    path: str
    [path] = re.findall(r"^The report is in (\S+)\.$", output, re.MULTILINE)
    return (folder / path).read_text()


def test_a_service_that_is_well_keeps_its_promises(tmp_path: Path) -> None:
    code, output = people(tmp_path, "--users=4", "--duration=3s")
    assert code == 0, output
    kind, count, *_ = row(output, "chat completed")
    assert (kind, int(count) > 5) == ("good", True)
    for name in ("time to first token", "time per output token", "time of a whole stream"):
        assert len(row(output, name)) == 6, output
    assert row(output, "chats are completed")[-1] == "kept"
    page = report(tmp_path, output)
    assert page.count('<svg class="plot"') == 4
    for words in ("chat completed", "time to first token", "locust's own report"):
        assert words in page
    assert "Traceback" not in output


@pytest.mark.long
def test_a_groq_that_fails_is_seen_by_its_users_and_by_the_exit_code(tmp_path: Path) -> None:
    code, output = people(tmp_path, "--users=12", "--duration=6s", "--shape=spike", "--faults=errors,cuts")
    assert code == 1, output
    assert row(output, "chat ended by error: tool_use_failed")[0] == "bad"
    assert row(output, "chats are completed")[-1] == "missed"
    page = report(tmp_path, output)
    assert "chat ended by error: tool_use_failed" in page
    assert "with faults: errors, cuts" in page


@pytest.mark.long
def test_an_overload_refuses_some_and_keeps_its_promises_to_the_others(tmp_path: Path) -> None:
    code, output = people(tmp_path, "--users=12", "--duration=4s", "--shape=overload")
    assert row(output, "chat refused: 503 overloaded")[0] == "neither", output
    assert row(output, "chats are completed")[-1] == "kept"
    assert code == 0, output


def test_a_service_that_is_not_there_is_no_success_and_ctrl_c_is_no_accident(tmp_path: Path) -> None:
    options = [WORDS_READ, "--users=2", "--duration=60s", "--host=http://127.0.0.1:9"]
    with program(["loadtests.people", *options], cwd=tmp_path) as running:
        assert running.wait_for(" bad ")
        assert running.stop(signal.SIGINT) == 130
    assert row(running.output, "chat without a connection")[0] == "bad"
    assert row(running.output, "time to first token")[1] == "0"
    assert row(running.output, "have their first token within 1 s")[-1] == "not measured"
    assert "Traceback" not in running.output

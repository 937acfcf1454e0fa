"""Short runs of the load test: users see how chats end, and the exit code says whether the objectives are met."""

import re
import signal
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from app.core.errors import ServiceError
from app.core.outcomes import Outcome
from loadtests.locust.objectives import RULES, Objectives, Side, findings, refused, side
from tests.support.processes import program, run

OBJECTIVES = Objectives.of(RULES.read_text())
WORDS_READ = "--words-per-s=200"


def loadtest(folder: Path, *options: str) -> tuple[int, str]:
    return run(["loadtests.locust", WORDS_READ, *options], cwd=folder)


def objective(output: str, what: str) -> str:
    verdict: str
    [verdict] = re.findall(rf"^  {re.escape(what)} .*?(\w+|not measured)$", output, re.MULTILINE)
    return verdict


def report(folder: Path, output: str) -> str:
    path: str
    [path] = re.findall(r"^The report is in (\S+)\.$", output, re.MULTILINE)
    return (folder / path).read_text()


def test_a_service_that_works_meets_its_objectives(tmp_path: Path) -> None:
    code, output = loadtest(tmp_path, "--users=4", "--run-time=3s")
    assert code == 0, output
    assert objective(output, "chats are completed") == "met"
    page = report(tmp_path, output)
    for words in ("chat completed", "time to first token", "time per output token"):
        assert words in page
    assert "Traceback" not in output


@pytest.mark.long
def test_a_groq_that_fails_is_seen_by_users_and_by_the_exit_code(tmp_path: Path) -> None:
    code, output = loadtest(tmp_path, "--users=12", "--run-time=6s", "--shape=spike", "--fault=errors", "--fault=cuts")
    assert code == 1, output
    assert re.search(r"^bad +chat ended by error: (tool_use_failed|upstream_broken)", output, re.MULTILINE), output
    assert objective(output, "chats are completed") == "missed"
    assert "chat ended by error" in report(tmp_path, output)


@pytest.mark.long
def test_an_overload_refuses_some_quickly_and_completes_the_others(tmp_path: Path) -> None:
    _, output = loadtest(tmp_path, "--users=30", "--run-time=12s", "--shape=overload")
    assert re.search(r"^neither +chat refused: 503 overloaded ", output, re.MULTILINE), output
    assert objective(output, "chats are completed") == "met"
    assert objective(output, "are refused within 1 s, with Retry-After") == "met"


def test_a_service_that_is_not_there_is_no_success_and_ctrl_c_is_no_accident(tmp_path: Path) -> None:
    options = [WORDS_READ, "--users=2", "--run-time=60s", "--host=http://127.0.0.1:9"]
    with program(["loadtests.locust", *options], cwd=tmp_path) as running:
        assert running.wait_for(" bad")
        assert running.stop(signal.SIGINT) == 130
    assert re.search(r"^bad +chat without a connection", running.output, re.MULTILINE)
    assert objective(running.output, "have their first token within 1 s") == "not measured"
    assert "Traceback" not in running.output


def test_an_error_of_the_service_counts_as_the_outcome_that_it_has_there() -> None:
    for kind in every(ServiceError):
        body = b'{"error": {"code": "%s"}}' % kind.code.encode()
        if kind.code != "server_draining":  # the event and the status differ
            assert refused(kind.status, body, "1")[1] is kind.outcome, kind
    assert side(refused(503, b'{"error": {"code": "overloaded"}}')[1], frozenset()) is Side.BAD  # no Retry-After
    assert side(refused(502, b"<html>Bad Gateway</html>")[1], OBJECTIVES.bad) is Side.BAD


def every(kind: type[ServiceError]) -> list[type[ServiceError]]:
    return [each for sub in kind.__subclasses__() for each in [sub, *every(sub)]]


def test_the_objectives_are_those_of_prometheus() -> None:
    groups = YAML(typ="safe", pure=True).load(RULES)["groups"]
    ours = [rule for rule in groups[0]["rules"] if "sloth_id" in rule.get("labels", {})]
    rules = {rule["labels"]["sloth_id"]: rule["expr"] for rule in ours if rule["expr"].startswith("vector(")}
    assert {name: f"vector({ratio:g})" for name, ratio in OBJECTIVES.ratio.items()} == rules
    limits = {"chat_time_to_first_token_seconds": 1, "chat_time_per_output_token_seconds": 0.02}
    assert OBJECTIVES.limit_s.items() >= limits.items()
    assert Outcome.UPSTREAM_TIMEOUT in OBJECTIVES.bad
    assert not OBJECTIVES.bad & {Outcome.COMPLETED, Outcome.CLIENT_DISCONNECTED, Outcome.REJECTED_QUOTA}


def test_an_objective_is_met_up_to_its_bound_and_never_by_nothing() -> None:
    found = findings(OBJECTIVES, 995, 5, {1000: 95, 1010: 5}, {20: 94, 21: 6})
    assert [each.met for each in found] == [True, True, False]
    assert not any(each.met for each in findings(OBJECTIVES, 0, 0, {}, {}))

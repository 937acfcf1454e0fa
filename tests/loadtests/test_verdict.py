"""The comparison can fail: each way to break a promise is found, and what a kill explains is no breach."""

import pytest

from loadtests.chaos.history import Chat, End, History, Incident, Kind
from loadtests.chaos.verdict import Evidence, judge, receipts_in_outages, report
from loadtests.harness.answer import Answer
from loadtests.harness.rows import Row

HELLO = Row("a", "chaos-0", "completed", "You asked: “chaos-0”.")
WORLD = Row("b", "chaos-1", "completed", "You asked: “chaos-1”.")
LEFT = Row("c", "chaos-2", "client_disconnected", "You")
ROWS = [HELLO, WORLD, LEFT]


def history(*more: Chat) -> History:
    """Two receipts, a client that disconnected, and more."""
    return History(
        [
            Chat("chaos-0", 1, 2, End.RECEIPT, id="a", text=HELLO.response),
            Chat("chaos-1", 1, 3, End.RECEIPT, id="b", text=WORLD.response),
            Chat("chaos-2", 2, 3, End.LEFT, id="c", text="You"),
            *more,
        ]
    )


def broken(evidence: Evidence) -> dict[str, list[str]]:
    found = judge(evidence)
    assert report(evidence, found)
    return {name: ids for name, ids in found.items() if ids}


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        (ROWS, {}),
        ([HELLO, LEFT], {"lost": ["b"]}),
        ([HELLO, WORLD], {}),  # the client that disconnected was promised nothing
        ([*ROWS, HELLO], {"duplicated": ["a", "chaos-0"]}),
        ([*ROWS, Row("d", "chaos-0", HELLO.outcome, HELLO.response)], {"duplicated": ["chaos-0"]}),
        ([HELLO, Row("b", "chaos-1", "completed", "“chaos-1”!"), LEFT], {"different": ["b"]}),
        ([HELLO, Row("b", "chaos-1", "client_disconnected", WORLD.response), LEFT], {"different": ["b"]}),
        ([HELLO, WORLD, Row("c", "chaos-2", "client_disconnected", "“chaos-0”")], {"another's answer": ["c"]}),
        ([*ROWS, Row("d", None, "upstream_error", "")], {"rows unasked for": ["d"]}),
        ([HELLO, WORLD, Row("c", "chaos-2", "internal_error", "You")], {"bugs of the service": ["c"]}),
    ],
)
def test_rows_that_do_not_fit_are_named(rows: list[Row], found: dict[str, list[str]]) -> None:
    assert broken(Evidence(history=history(), rows=rows)) == found


def test_a_client_that_reads_the_answer_to_another_question_is_named() -> None:
    foreign = Chat("chaos-3", 1, 2, End.LEFT, id="d", text="You asked: “chaos-1”.")
    evidence = Evidence(history=history(foreign), rows=ROWS)
    assert broken(evidence) == {"another's answer": ["d"]}
    assert broken(Evidence(history=history(foreign), rows=ROWS, crossed={"chaos-3"})) == {}


def test_only_a_kill_while_it_ran_explains_an_answer_that_broke_off() -> None:
    cut = Evidence(history=history(Chat("chaos-3", 5, 7, End.CUT, id="d")), rows=ROWS)
    for kind, began in [(Kind.KILL, 4), (Kind.KILL, 8), (Kind.TERM, 6)]:
        cut.history.incidents.append(Incident(kind, began, began + 2))
    assert broken(cut) == {"cut without a kill": ["d"]}
    cut.history.incidents.append(Incident(Kind.KILL, 6, 6))
    assert broken(cut) == {}


def test_a_chat_without_an_end_an_exit_code_and_a_full_outbox_break_the_promise_too() -> None:
    hung = history(Chat("chaos-3", 5, 65, End.HUNG))
    assert broken(Evidence(history=hung, rows=ROWS)) == {"without an end": ["chaos-3"]}
    assert broken(Evidence(history=history(), rows=ROWS, exit_codes=[0, 1])) == {"exit codes": ["1"]}
    assert broken(Evidence(history=history(), rows=ROWS, left_in_outbox=1)) == {}
    assert "never replayed" in broken(Evidence(history=history(), rows=ROWS, never_replayed=1))


def test_receipts_that_came_without_a_database_are_counted() -> None:
    during = history(
        Chat("chaos-3", 9, 11, End.RECEIPT, id="d"),
        Chat("chaos-4", 9, 11, End.RECEIPT, id="e", slow=True),  # its client may have read it late
        Chat("chaos-5", 9, 11, End.ERROR, id="f"),
    )
    during.incidents.append(Incident(Kind.STOP, 10, 12))
    assert receipts_in_outages(during) == 1


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_an_answer_is_the_same_however_its_bytes_were_split(size: int) -> None:
    role, body = b'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n', b": comment\n\n"
    for word in ("naïve ", "東京 🚀"):
        body += f'data: {{"choices":[{{"delta":{{"content":"{word}"}}}}]}}\n\n'.encode()
    answer = Answer()
    for begin in range(0, len(role + body), size):
        answer.feed((role + body)[begin : begin + size], begin)
    assert (answer.text, answer.tokens, answer.done, answer.error_code) == ("naïve 東京 🚀", 2, False, None)
    answer.feed(b'event: error\ndata: {"error":{"code":"persistence_failed"}}\n\ndata: [DONE]\n')
    assert (answer.done, answer.error_code) == (False, "persistence_failed")
    answer.feed(b"\n")
    assert answer.done

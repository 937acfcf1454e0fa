"""What a client has read is the same however its bytes were cut."""

import pytest

from loadtests.chaos.answer import Answer

CHUNKS = (
    'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n'
    'data: {"choices":[{"delta":{"content":"naïve "}}]}\n\n'
    'data: {"choices":[{"delta":{"content":"東京 🚀"}}]}\n\n'
    'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
).encode()


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_the_text_is_what_the_chunks_add_up_to(size: int) -> None:
    answer = Answer()
    body = CHUNKS + b"data: [DONE]\n\n"
    for start in range(0, len(body), size):
        assert not answer.done
        answer.feed(body[start : start + size])
    assert (answer.text, answer.events, answer.done, answer.failed) == ("naïve 東京 🚀", 5, True, False)


def test_half_a_receipt_is_none() -> None:
    answer = Answer()
    answer.feed(CHUNKS + b"data: [DONE]\n")
    assert not answer.done


def test_an_error_event_is_noticed() -> None:
    answer = Answer()
    answer.feed(CHUNKS + b'event: error\ndata: {"error":{"code":"persistence_failed"}}\n\n')
    assert (answer.done, answer.failed) == (False, True)

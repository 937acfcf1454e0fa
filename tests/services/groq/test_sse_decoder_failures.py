"""The decoder, on failures and on invalid streams."""

import pytest
from hypothesis import given

from app.core.errors import ServiceError
from app.core.upstream import UpstreamBroken, UpstreamRateLimited, UpstreamRejected
from tests.fuzz.sse import CUTS, STREAMS, check_any_chunking
from tests.services.groq.shapes import STREAM, chunk, decode


@given(STREAMS, CUTS)
def test_any_stream_is_relayed_in_whole_events_or_ends_with_an_error(stream: bytes, sizes: list[int]) -> None:
    """However it is cut: nothing is raised, nothing is invented, and the buffer is bounded."""
    check_any_chunking(stream, sizes)


def test_half_an_event_at_the_end_is_a_failure() -> None:
    block, _ = decode(STREAM, chunk({"content": "lost"})[:40])
    assert isinstance(block.error, UpstreamBroken)
    assert block.data == STREAM


ERROR = b'{"message":"no","type":"invalid_request_error","code":"c","status_code":400}'


@pytest.mark.parametrize(
    "event",
    [
        b'event: error\ndata: {"error":%s}\n\n' % ERROR,
        b'data: {"error":%s}\n\n' % ERROR,
        b"event: error\ndata: %s\n\n" % ERROR,
        b'event: error\r\ndata: {"error":\r\ndata: %s}\r\n\r\n' % ERROR,
    ],
)
def test_an_error_in_band_ends_the_stream_and_is_not_relayed(event: bytes) -> None:
    block, _ = decode(STREAM + event + b"data: {}\n\n")
    assert block.data == STREAM
    assert isinstance(block.error, UpstreamRejected)
    assert block.error.envelope()["error"] == {
        "message": "no", "type": "invalid_request_error", "code": "c", "param": None
    }  # fmt: skip


def test_an_error_in_band_may_be_a_rate_limit() -> None:
    block, _ = decode(b'event: error\ndata: {"error":{"message":"slow down","status_code":429}}\n\n')
    assert isinstance(block.error, UpstreamRateLimited)


@pytest.mark.parametrize("data", [b"{nonsense", b"\xff", b"NaN{"])
def test_an_event_that_is_not_json_ends_the_stream(data: bytes) -> None:
    block, _ = decode(STREAM + b"data: " + data + b"\n\n" + STREAM)
    assert block.data == STREAM
    assert isinstance(block.error, UpstreamBroken)
    assert isinstance(block.error.__cause__, ValueError)  # where it is invalid, for the log


def test_the_reason_of_an_early_stop_is_read() -> None:
    assert decode(chunk({}, x_groq={"id": "req_1", "error": "over capacity"}))[0].early_stop == "over capacity"


def test_the_size_of_an_unfinished_event_is_limited() -> None:
    block, _ = decode(b"data: " + b"x" * 5000, b"x" * 6000, max_event_bytes=10_000)
    assert isinstance(block.error, UpstreamBroken)
    assert "10000 bytes" in block.error.message


def test_an_error_event_without_an_error_object_is_an_error() -> None:
    assert decode(b'event: error\ndata: {"error":null}\n\n')[0].error


def test_an_event_with_two_objects_is_not_json() -> None:
    word = chunk({"content": "x"})
    block, _ = decode(word.removesuffix(b"\n\n") + b"," + word.removeprefix(b"data: "))
    assert isinstance(block.error, UpstreamBroken)
    assert block.data == b""


def test_an_unfinished_event_may_have_as_many_bytes_as_the_limit() -> None:
    assert decode(b"data: " + b"x" * 94, end=False, max_event_bytes=100)[0].error is None
    assert decode(b"data: " + b"x" * 95, end=False, max_event_bytes=100)[0].error
    assert decode(b"data: ", b"x" * 94, end=False, max_event_bytes=100)[0].error is None


@pytest.mark.parametrize(
    "data", [b"0", b"[1]", b'"text"', b"{}", b'{"message":"\\ud83d"}', b"[" * 2000 + b"]" * 2000], ids=range(6)
)
def test_an_error_event_with_any_content_is_an_error(data: bytes) -> None:
    block, _ = decode(STREAM + b"event: error\ndata: " + data + b"\n\n")
    assert isinstance(block.error, ServiceError)
    assert block.data == STREAM


def test_the_text_of_an_error_event_is_its_message() -> None:
    block, _ = decode(b'event: error\ndata: "out of memory"\n\n')
    assert block.error
    assert "out of memory" in block.error.message

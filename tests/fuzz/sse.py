"""Streams of the provider, mutated, and the properties of the SSE decoder."""

import json
import re
from functools import reduce

import msgspec
from hypothesis import strategies as st

from app.core.errors import ServiceError
from app.services.chat.block import Block
from app.services.groq.sse_decoder import SseDecoder
from tests.fuzz.bodies import JSON
from tests.services.groq.shapes import DONE, STREAM

MAX_EVENT_BYTES = 2000
_BOUNDARY = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)\Z")
_EVENTS = [event + b"\n\n" for event in (STREAM + DONE).split(b"\n\n")[:-1]]
_FRAGMENTS = [
    *(b"data: ", b"data:", b"event: error\n", b"[DONE]", b"{", b"}"),
    *(b"\n", b"\r", b"\r\n", b"\xff", b"\0", b"x" * 900),
]
_KEYS = ["id", "model", "choices", "usage", "x_groq", "error", "delta", "content", "finish_reason", "tool_calls"]


def _flip(data: bytes, at: int, value: int) -> bytes:
    at %= len(data) or 1
    return data[:at] + bytes([value]) + data[at + 1 :]


def _with_line_ends(data: bytes, ends: list[bytes]) -> bytes:
    lines = data.split(b"\n")
    return b"".join(line + ends[index % len(ends)] for index, line in enumerate(lines))


_CHUNKS = st.dictionaries(st.sampled_from(_KEYS), st.one_of(JSON, st.dictionaries(st.sampled_from(_KEYS), JSON)))
_ANY_JSON = st.builds(
    lambda name, content: b"%sdata: %s\n\n" % (name, json.dumps(content).encode()),
    st.sampled_from([b"", b"event: error\n", b": hm\n"]),
    st.one_of(JSON, _CHUNKS, st.lists(_CHUNKS, max_size=2).map(lambda chunks: {"choices": chunks})),
)
_PIECE = st.one_of(st.sampled_from(_EVENTS), st.sampled_from(_FRAGMENTS), _ANY_JSON, st.binary(max_size=20))
_MIXED = st.lists(_PIECE, max_size=12).map(b"".join)
_FLIPPED = st.builds(
    lambda flips: reduce(lambda data, flip: _flip(data, *flip), flips, STREAM + DONE),
    st.lists(st.tuples(st.integers(0, len(STREAM)), st.integers(0, 255)), max_size=5),
)
_LINE_ENDS = st.lists(st.sampled_from([b"\n", b"\r", b"\r\n"]), min_size=1, max_size=6)
STREAMS = st.one_of(_MIXED, _FLIPPED, st.builds(_with_line_ends, st.one_of(_MIXED, _FLIPPED), _LINE_ENDS))
CUTS = st.lists(st.integers(1, 300), max_size=30)


def split(stream: bytes, sizes: list[int]) -> list[bytes]:
    """The stream in pieces of these sizes, and the rest."""
    pieces = []
    for size in sizes:
        pieces.append(stream[:size])
        stream = stream[size:]
    return [*pieces, stream]


def decode(pieces: list[bytes]) -> list[Block]:
    """Feeds the decoder; raises AssertionError for a violated property, and what the decoder raises."""
    decoder = SseDecoder(max_event_bytes=MAX_EVENT_BYTES)
    fed, relayed, blocks = b"", b"", []
    for piece in [*pieces, None]:
        block = decoder.finish() if piece is None else decoder.feed(piece)
        blocks.append(block)
        fed += b"\n\n" if piece is None else piece  # the end of the stream completes an event like a blank line
        relayed += block.data
        assert fed.startswith(relayed), "the relayed bytes are a prefix of the received bytes"
        assert not block.data or _BOUNDARY.search(block.data), "a block ends between two events"
        if block.error is not None:
            assert isinstance(block.error, ServiceError)
            msgspec.json.encode(block.error.envelope())
            break
        if block.ended:
            break
        assert len(decoder._unfinished) <= MAX_EVENT_BYTES, "the buffer is limited"
    return blocks


def check_any_chunking(stream: bytes, sizes: list[int]) -> None:
    """The decoded content does not depend on the chunks.

    Except for the size limit: an event above it passes if it arrives in one chunk.
    """
    at_once, in_chunks = decode([stream]), decode(split(stream, sizes))
    if not any("bytes" in str(block.error) for block in at_once + in_chunks):
        assert _content(at_once) == _content(in_chunks)


def _content(blocks: list[Block]) -> tuple[object, ...]:
    return (
        "".join(text for block in blocks for text in block.text),
        [call for block in blocks for call in block.tool_calls],
        [block.finish_reason for block in blocks if block.finish_reason][-1:],
        sum(block.progress_chunks for block in blocks),
        type(blocks[-1].error),
    )

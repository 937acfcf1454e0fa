"""JSON of any shape, for the schema of a request."""

import json
from typing import Any

from hypothesis import strategies as st

from app.core.errors import InvalidRequest
from app.schemas.chat import ChatRequest
from tests.support.bodies import as_objects, parsed

_SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(), max_size=20))
JSON = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(st.text(max_size=10), inner, max_size=5)),
    max_leaves=20,
)
_MESSAGE = st.fixed_dictionaries(
    {"role": st.one_of(st.sampled_from(["system", "user", "assistant", "tool"]), JSON)}, optional={"content": JSON}
)
_PARTS = st.lists(st.dictionaries(st.sampled_from(["type", "text"]), JSON), max_size=2)
_CONTENT = st.one_of(st.text(max_size=5), _PARTS, JSON)


def _repeat_content(contents: list[Any]) -> bytes:
    """A request whose message has one `content` after another; the last one counts."""
    fields = ",".join(f'"content":{json.dumps(content)}' for content in contents)
    return b'{"messages":[{"role":"user",%s}]}' % fields.encode()


REQUESTS = st.one_of(
    JSON,
    st.lists(_CONTENT, min_size=2, max_size=3).map(_repeat_content),
    st.fixed_dictionaries(
        {"messages": st.one_of(st.lists(_MESSAGE, max_size=4), JSON)},
        optional={name: JSON for name in ChatRequest.model_fields if name != "messages"} | {"x": JSON},
    ),
)


def check_request(body: Any) -> None:
    """Raises unless the body (or its bytes) is refused with InvalidRequest, or accepted and relayed unchanged."""
    try:
        request = parsed(body, ChatRequest)
    except InvalidRequest:
        return
    assert as_objects(request.body) == (json.loads(body) if isinstance(body, bytes) else body)
    assert isinstance(request.prompt, str)
